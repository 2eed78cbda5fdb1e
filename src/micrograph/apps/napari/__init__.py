"""Plugin of the viewer napari: readers, an analysis of what is shown, and training from corrected masks."""
