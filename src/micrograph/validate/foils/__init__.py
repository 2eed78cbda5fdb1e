"""Checks of dislocations, precipitates and voids in foils."""
