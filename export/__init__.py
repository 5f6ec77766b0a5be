"""A checkpoint to a bundle."""
