"""Data management: from sources to a trusted table."""
