"""Checks of nanotubes."""
