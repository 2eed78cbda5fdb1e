"""Nanotubes: found, and which (n, m) they may be."""
