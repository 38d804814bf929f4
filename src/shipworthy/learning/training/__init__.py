"""Splits, learners, lowering to programs; what they cost."""
