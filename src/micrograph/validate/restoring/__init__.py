"""Checks of denoised, completed, decoded and finer images."""
