"""What flows through the house: frames, recordings, calibration, predictions, samples, columns, flags, errors."""

from micrograph.core.calibration import Calibration, SignalAxis, parse_positive, parse_quantity
from micrograph.core.errors import BadInput, BrokenCheckpoint, MicrographError, MissingCalibration
from micrograph.core.flags import Flag
from micrograph.core.frame import Frame, Recording, Stream
from micrograph.core.prediction import Column, Prediction, Task
from micrograph.core.sample import Sample, Sampler, Sites

__all__ = [
    "BadInput",
    "BrokenCheckpoint",
    "Calibration",
    "Column",
    "Flag",
    "Frame",
    "MicrographError",
    "MissingCalibration",
    "Prediction",
    "Recording",
    "Sample",
    "Sampler",
    "SignalAxis",
    "Sites",
    "Stream",
    "Task",
    "parse_positive",
    "parse_quantity",
]
