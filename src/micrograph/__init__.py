"""Machine-learning analysis of microscope recordings."""

__version__ = "0.1.0"
