"""Spectra: peaks, components, mixtures, and maps of counts without their noise."""
