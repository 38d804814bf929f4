"""Answering requests: a release compiled to a request path, the predict API around it, and its processes."""
