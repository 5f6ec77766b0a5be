"""Calling a served bundle."""
