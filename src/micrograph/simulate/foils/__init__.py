"""Dislocations, precipitates and voids in foils."""
