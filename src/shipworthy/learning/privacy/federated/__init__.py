"""Learning from the rows of several parties, who send masked sums and nothing else."""
