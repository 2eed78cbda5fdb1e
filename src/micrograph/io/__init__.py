"""Files and folders to recordings, tables and maps to files."""

from micrograph.io.labelled import write_sample
from micrograph.io.library import Entry, Fragment, Library
from micrograph.io.log import log_at, read_log, with_log
from micrograph.io.maps import MapWriter, write_tiffs
from micrograph.io.opening import describe, open_recording
from micrograph.io.samples import SampleFile, sample_file
from micrograph.io.tables import TableWriter, merge_parts, read_columns, read_table, write_table

__all__ = [
    "Entry",
    "Fragment",
    "Library",
    "MapWriter",
    "SampleFile",
    "TableWriter",
    "describe",
    "log_at",
    "merge_parts",
    "open_recording",
    "read_columns",
    "read_log",
    "read_table",
    "sample_file",
    "with_log",
    "write_sample",
    "write_table",
    "write_tiffs",
]
