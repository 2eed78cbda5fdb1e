"""Checks of surfaces under a scanning probe."""
