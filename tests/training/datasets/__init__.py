"""Tests of the published datasets, on miniatures of their layouts and on the published lists."""
