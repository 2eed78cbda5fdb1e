"""Diffraction: spots, reciprocal lattices, symmetry, convergent-beam patterns, virtual detectors."""
