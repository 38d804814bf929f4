"""Trials: corrupted batches, hostile records, weak slices, restated tables, simulated outages."""
