"""Scoring a program's terms: one contract, a pure NumPy kernel today."""
