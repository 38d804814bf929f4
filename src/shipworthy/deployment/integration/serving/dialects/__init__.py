"""The forms in which a table may be asked and answered: one file a dialect, each a `read` and a `write`."""
