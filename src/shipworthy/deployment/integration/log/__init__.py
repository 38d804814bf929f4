"""What was served and what came true: append-only segments, their rows as tables, and the drain into the store."""
