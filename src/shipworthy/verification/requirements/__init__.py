"""Performance and business value, as requirements that hold at their pessimistic end."""
