"""A bundle to HTTP."""
