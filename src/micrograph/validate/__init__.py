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
from micrograph.validate.columns.atom_checks import atom_f1, coverage_1sigma, position_over_limit, slope_error
from micrograph.validate.columns.site_checks import GRAPHENE, TMD, site_accuracy, site_recall, species_error
from micrograph.validate.intervals import Interval
from micrograph.validate.layers.defect_checks import (
    Field,
    TmdFields,
    defect_recall,
    density_coverage,
    false_positive_rate,
)
from micrograph.validate.measured import read_measured, record_measured
from micrograph.validate.trials import Reference, Trial
from micrograph.validate.trust_checks import domain_auroc, score_calibration

__all__ = [
    "GRAPHENE",
    "TMD",
    "Analyser",
    "Check",
    "CheckResult",
    "Field",
    "Interval",
    "Measurement",
    "Reference",
    "TmdFields",
    "Trial",
    "as_table",
    "atom_f1",
    "coverage_1sigma",
    "defect_recall",
    "density_coverage",
    "domain_auroc",
    "false_positive_rate",
    "from_json",
    "position_over_limit",
    "read_measured",
    "record_measured",
    "run_checks",
    "score_calibration",
    "site_accuracy",
    "site_recall",
    "slope_error",
    "species_error",
    "to_json",
]
