"""Spectra and element signals."""
