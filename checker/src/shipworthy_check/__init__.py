"""Re-checks what Shipworthy proved of a model, with NumPy and the standard library alone, and none of its code."""

from shipworthy_check.certificate import check as check
from shipworthy_check.program import Rejected as Rejected
from shipworthy_check.program import read as read
