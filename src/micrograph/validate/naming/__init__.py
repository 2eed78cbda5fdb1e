"""Checks of the names of whole images."""
