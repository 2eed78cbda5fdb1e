"""Surfaces as a scanning electron microscope shows them."""
