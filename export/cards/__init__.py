"""The sections of a model card, each from measured facts alone."""
