"""Layers one atom thick, at rest and in movies."""
