"""Settings searched under a wall-clock budget."""
