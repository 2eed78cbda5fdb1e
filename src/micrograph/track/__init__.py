"""Objects over time: drift, links, motion, states, rates. Runs without torch."""

from micrograph.track.counts import COUNTS, STAGES, Stage, counts_table, stages, stages_table
from micrograph.track.drift import DRIFT, DriftSettings, find_drift, in_sample
from micrograph.track.events import EVENTS, events_table
from micrograph.track.gather import Gather, Gathered
from micrograph.track.hopping import Hopping, hop_diffusion
from micrograph.track.image_drift import ImageDriftSettings, correct, image_drift
from micrograph.track.lattice_drift import lattice_drift
from micrograph.track.link import LinkSettings, link
from micrograph.track.motion import DIFFUSION, Diffusion, MotionSettings, cramer_rao, diffusion, diffusion_table
from micrograph.track.msd import MOTION, Exponent, anomalous_exponent, msd_table

__all__ = [
    "COUNTS",
    "DIFFUSION",
    "DRIFT",
    "EVENTS",
    "MOTION",
    "STAGES",
    "Diffusion",
    "DriftSettings",
    "Exponent",
    "Gather",
    "Gathered",
    "Hopping",
    "ImageDriftSettings",
    "LinkSettings",
    "MotionSettings",
    "Stage",
    "anomalous_exponent",
    "correct",
    "counts_table",
    "cramer_rao",
    "diffusion",
    "diffusion_table",
    "events_table",
    "find_drift",
    "hop_diffusion",
    "image_drift",
    "in_sample",
    "lattice_drift",
    "link",
    "msd_table",
    "stages",
    "stages_table",
]
