"""Results for others: a catalogue over many runs, and records that other programs and repositories read."""

from micrograph.share.catalog import Catalog, open_catalog
from micrograph.share.crate import About, write_crate
from micrograph.share.hyperspy_file import write_hyperspy
from micrograph.share.nexus import Claim, Specimen, write_nexus
from micrograph.share.nexus_probe import Probe

__all__ = [
    "About",
    "Catalog",
    "Claim",
    "Probe",
    "Specimen",
    "open_catalog",
    "write_crate",
    "write_hyperspy",
    "write_nexus",
]
