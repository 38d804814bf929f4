"""Benchmarks: commands that measure, never tests. `python -m benchmarks` lists them."""
