"""Results for others: a catalogue over many runs, and records that other programs and repositories read."""

from micrograph.share.catalog import Catalog, open_catalog
from micrograph.share.crate import About, write_crate

__all__ = ["About", "Catalog", "open_catalog", "write_crate"]
