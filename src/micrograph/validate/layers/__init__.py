"""Checks of layers one atom thick: defects, bonds, states, order."""
