"""Checks of outlined objects: particles, pores, their shapes and their growth."""
