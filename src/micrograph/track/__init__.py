"""Objects over time: drift, links, motion, states, rates. Runs without torch."""

from micrograph.track.gather import Gather, Gathered
from micrograph.track.link import LinkSettings, link

__all__ = ["Gather", "Gathered", "LinkSettings", "link"]
