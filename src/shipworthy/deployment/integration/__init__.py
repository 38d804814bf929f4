"""Bringing a model into use: the release folder, its signature, the server, the log of what was served."""
