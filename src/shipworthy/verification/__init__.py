"""Model verification: requirements, properties for all inputs, and trials by data, edges, slices and simulation."""
