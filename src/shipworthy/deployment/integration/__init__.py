"""Bringing a model into use: releases, the server that answers for them, the log of what was served, the checks."""
