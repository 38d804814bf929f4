"""One-pass profile, leakage suspects, data contract, personal data, datasheet."""
