"""Recipes, stream, analyze, resume, run record."""
