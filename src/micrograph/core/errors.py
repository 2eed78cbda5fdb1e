"""What goes wrong, said in one sentence to the user."""


class MicrographError(Exception):
    """Base of all errors that micrograph raises on purpose; its text is one sentence for the user."""


class BadInput(MicrographError):
    """The input cannot be used: says what was found, what was expected and what to do. Exit status 2."""


class MissingCalibration(BadInput):
    """A recipe needs a calibration that the recording does not have."""


class BrokenCheckpoint(BadInput):
    """A weights file or its card cannot be read or does not fit the recipe."""
