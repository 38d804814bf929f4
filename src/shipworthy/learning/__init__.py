"""Model learning: selection, training and search, under declared budgets."""
