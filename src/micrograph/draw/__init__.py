"""Results as pictures: pure functions from arrays and tables to figures, 1000 px wide, with units on every axis."""

from micrograph.draw.charts import Curve, Normal, counts_figure, distance_figure, intensity_figure, time_figure
from micrograph.draw.image import image_figure, score_figure
from micrograph.draw.sites import cut_out, rows_within, sites_figure
from micrograph.draw.strain import strain_figure
from micrograph.draw.style import looks, to_png, with_error

__all__ = [
    "Curve",
    "Normal",
    "counts_figure",
    "cut_out",
    "distance_figure",
    "image_figure",
    "intensity_figure",
    "looks",
    "rows_within",
    "score_figure",
    "sites_figure",
    "strain_figure",
    "time_figure",
    "to_png",
    "with_error",
]
