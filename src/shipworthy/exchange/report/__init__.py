"""The release report: one self-contained HTML page."""

from shipworthy.exchange.report.page import page as page
