"""A project as one file: copied while servers answer, and made again elsewhere with every byte checked."""
