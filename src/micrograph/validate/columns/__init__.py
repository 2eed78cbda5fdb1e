"""Checks of atomic columns, against counting limits and other simulators."""
