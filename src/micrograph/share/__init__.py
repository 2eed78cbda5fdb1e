"""Results for others: a catalogue over many runs, and records that other programs and repositories read."""

from micrograph.share.catalog import Catalog, open_catalog

__all__ = ["Catalog", "open_catalog"]
