"""Renewal: candidates by rising cost from a champion and newer rows, their contest, and what becomes of the winner."""
