"""Raw files to a checkpoint: the only package that needs torch."""
