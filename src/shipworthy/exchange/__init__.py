"""The outside world's formats, in and out."""
