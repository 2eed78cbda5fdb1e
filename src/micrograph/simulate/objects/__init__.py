"""Particles and pores, at rest and in movies."""
