"""Cross-cutting assurance: ethics, law, trust, security, and the records that people sign."""
