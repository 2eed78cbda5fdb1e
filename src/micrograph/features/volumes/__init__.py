"""Volumes from tilt series, and the particles in them."""
