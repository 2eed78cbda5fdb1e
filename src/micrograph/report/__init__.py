"""A result as a page to read: numbers with their errors first, then doubts, pictures, tables and provenance."""

from micrograph.report.figures import figures
from micrograph.report.headline import Headline
from micrograph.report.numbers import headlines, headlines_over_time
from micrograph.report.outlined_numbers import outlined_headlines
from micrograph.report.page import result_figures, write_report
from micrograph.report.trust import trust_headlines

__all__ = [
    "Headline",
    "figures",
    "headlines",
    "headlines_over_time",
    "outlined_headlines",
    "result_figures",
    "trust_headlines",
    "write_report",
]
