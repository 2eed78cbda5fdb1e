"""Objects over time: drift, links, motion, states, rates. Runs without torch."""

from micrograph.track.chain import Tracks, likeliest, smoothed
from micrograph.track.chaining import CHAINS, Order, chains_table, contacts, kinetic_order
from micrograph.track.counts import COUNTS, STAGES, Stage, counts_table, stages, stages_table
from micrograph.track.drift import DRIFT, DriftSettings, find_drift, in_sample
from micrograph.track.events import EVENTS, events_table
from micrograph.track.following import Alive, follow
from micrograph.track.gather import Gather, Gathered
from micrograph.track.healing import Growth, growth, steady
from micrograph.track.image_drift import ImageDriftSettings, correct, image_drift
from micrograph.track.lattice_drift import lattice_drift
from micrograph.track.levels import LEVELS, level_stages
from micrograph.track.link import LinkSettings, link
from micrograph.track.motion import (
    DIFFUSION,
    Diffusion,
    MotionSettings,
    cramer_rao,
    diffusion,
    diffusion_table,
    velocities,
)
from micrograph.track.msd import MOTION, Exponent, anomalous_exponent, msd_table
from micrograph.track.pair_potential import PAIR_POTENTIAL, pair_potential
from micrograph.track.rate_law import BOUNDARIES, RATE_BINS, RATE_LAW, Law, Window, rate_law, window
from micrograph.track.rates import RATES, STATES, Rates, estimate_rates, rates_table, states_table, stationary
from micrograph.track.shapes import Outlined
from micrograph.track.sizes import GROWTH, SIZES
from micrograph.track.walks import HopRate, hop_rate

__all__ = [
    "BOUNDARIES",
    "CHAINS",
    "COUNTS",
    "DIFFUSION",
    "DRIFT",
    "EVENTS",
    "GROWTH",
    "LEVELS",
    "MOTION",
    "PAIR_POTENTIAL",
    "RATES",
    "RATE_BINS",
    "RATE_LAW",
    "SIZES",
    "STAGES",
    "STATES",
    "Alive",
    "Diffusion",
    "DriftSettings",
    "Exponent",
    "Gather",
    "Gathered",
    "Growth",
    "HopRate",
    "ImageDriftSettings",
    "Law",
    "LinkSettings",
    "MotionSettings",
    "Order",
    "Outlined",
    "Rates",
    "Stage",
    "Tracks",
    "Window",
    "anomalous_exponent",
    "chains_table",
    "contacts",
    "correct",
    "counts_table",
    "cramer_rao",
    "diffusion",
    "diffusion_table",
    "estimate_rates",
    "events_table",
    "find_drift",
    "follow",
    "growth",
    "hop_rate",
    "image_drift",
    "in_sample",
    "kinetic_order",
    "lattice_drift",
    "level_stages",
    "likeliest",
    "link",
    "msd_table",
    "pair_potential",
    "rate_law",
    "rates_table",
    "smoothed",
    "stages",
    "stages_table",
    "states_table",
    "stationary",
    "steady",
    "velocities",
    "window",
]
