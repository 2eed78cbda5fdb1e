"""Whole images: their kinds, which are alike, and which are worth a label."""
