"""Objects with an outline: outlines, shapes, sizes, motion of boundaries, and chains of image operations."""
