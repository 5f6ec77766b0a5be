"""The contract between training and serving: what a trained classifier is on disk and how it answers."""
