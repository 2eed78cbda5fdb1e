"""Lattices: cells, types, strain, distortion, tilts, and what a crystal holds beside its lattice."""
