"""Updating: when to renew, which rows to admit, which model to keep."""
