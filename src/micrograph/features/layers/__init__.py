"""Layers one atom thick: bonds, rings, named defects, and what their surroundings look like on average."""
