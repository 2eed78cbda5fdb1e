"""Atomic columns: found, refined to the counting limit, named and counted."""
