"""Objects over time: drift, links, motion, states, rates. Runs without torch."""

from micrograph.track.drift import DRIFT, DriftSettings, find_drift, in_sample
from micrograph.track.gather import Gather, Gathered
from micrograph.track.image_drift import ImageDriftSettings, correct, image_drift
from micrograph.track.lattice_drift import lattice_drift
from micrograph.track.link import LinkSettings, link

__all__ = [
    "DRIFT",
    "DriftSettings",
    "Gather",
    "Gathered",
    "ImageDriftSettings",
    "LinkSettings",
    "correct",
    "find_drift",
    "image_drift",
    "in_sample",
    "lattice_drift",
    "link",
]
