"""Scoring a program: one contract, a compiled kernel and a pure one with the same answers to the last bit."""
