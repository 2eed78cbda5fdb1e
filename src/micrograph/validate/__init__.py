"""Metrics, physical limits, judgement of confidence, reference sets, checks and the builders of checks."""

from micrograph.validate.checks import (
    Analyser,
    Check,
    CheckResult,
    Measurement,
    as_table,
    from_json,
    run_checks,
    to_json,
)
from micrograph.validate.intervals import Interval

__all__ = [
    "Analyser",
    "Check",
    "CheckResult",
    "Interval",
    "Measurement",
    "as_table",
    "from_json",
    "run_checks",
    "to_json",
]
