"""Torch modules, heads, checkpoints. Knows tensors only."""
