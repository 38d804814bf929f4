"""Labels and coverage: noise in labels, thin slices, holes."""
