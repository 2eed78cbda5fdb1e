"""Results as pictures: pure functions from arrays and tables to figures, 1000 px wide, with units on every axis."""

from micrograph.draw.boundaries import rate_law_figure, velocity_figure
from micrograph.draw.charts import Curve, Normal, counts_figure, distance_figure, intensity_figure, time_figure
from micrograph.draw.classes import classes_figure, traversal_figure
from micrograph.draw.counts import counts_over_time_figure
from micrograph.draw.gallery import gallery_figure
from micrograph.draw.growth import Panel, areas_figure, rate_text, reaction_figure
from micrograph.draw.image import image_figure, score_figure
from micrograph.draw.kymograph import kymograph_figure, line_kymograph, line_kymograph_figure
from micrograph.draw.movie import MovieSettings, shown_positions, write_movie
from micrograph.draw.outlines import curves_of, outlines_figure
from micrograph.draw.sites import cut_out, rows_within, sites_figure
from micrograph.draw.sizes import Distribution, sizes_figure
from micrograph.draw.states import arrhenius_figure, rates_figure, state_diagram
from micrograph.draw.strain import map_figure, strain_figure
from micrograph.draw.style import looks, to_png, with_error
from micrograph.draw.tracks import diffusion_text, drift_figure, msd_figure, time_of, tracks_figure
from micrograph.draw.tubes import layer_lines_figure, tubes_figure

__all__ = [
    "Curve",
    "Distribution",
    "MovieSettings",
    "Normal",
    "Panel",
    "areas_figure",
    "arrhenius_figure",
    "classes_figure",
    "counts_figure",
    "counts_over_time_figure",
    "curves_of",
    "cut_out",
    "diffusion_text",
    "distance_figure",
    "drift_figure",
    "gallery_figure",
    "image_figure",
    "intensity_figure",
    "kymograph_figure",
    "layer_lines_figure",
    "line_kymograph",
    "line_kymograph_figure",
    "looks",
    "map_figure",
    "msd_figure",
    "outlines_figure",
    "rate_law_figure",
    "rate_text",
    "rates_figure",
    "reaction_figure",
    "rows_within",
    "score_figure",
    "shown_positions",
    "sites_figure",
    "sizes_figure",
    "state_diagram",
    "strain_figure",
    "time_figure",
    "time_of",
    "to_png",
    "tracks_figure",
    "traversal_figure",
    "tubes_figure",
    "velocity_figure",
    "with_error",
    "write_movie",
]
