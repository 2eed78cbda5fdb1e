"""Etched steels and superalloys."""
