"""What images of surfaces, grains and films hold: areas and their borders, gaps, and how they are spread."""
