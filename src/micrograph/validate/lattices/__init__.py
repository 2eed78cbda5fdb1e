"""Checks of lattices, structure types and tilts."""
