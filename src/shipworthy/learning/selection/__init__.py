"""Simple first: the ladder, the choice, and what is fitted after it."""
