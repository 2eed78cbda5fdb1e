"""Checks of spectra, element maps and volumes of elements."""
