"""Rollout: a challenger takes over share by share, while tests that may be peeked at decide whether it goes on."""
