"""Checks of microstructures of steels and superalloys."""
