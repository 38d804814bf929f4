"""Dispersion and cleaning: every changed cell in a ledger, with an undo."""
