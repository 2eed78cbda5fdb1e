"""Surfaces as a scanning probe shows them."""
