"""What becomes of an incident: who is told, who may be silent, what is suspected, and what is done about it."""
