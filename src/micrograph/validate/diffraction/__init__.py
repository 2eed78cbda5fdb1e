"""Checks of patterns, scans of patterns and symmetry."""
