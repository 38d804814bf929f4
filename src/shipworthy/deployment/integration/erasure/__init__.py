"""Erasing people from all that a project keeps, and keeping them from coming back."""
