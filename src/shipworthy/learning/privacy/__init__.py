"""Learning that bounds what it gives away: differential privacy, federated sums, encrypted scoring."""
