"""Files and folders to recordings, tables and maps to files."""

from micrograph.io.opening import describe, open_recording

__all__ = ["describe", "open_recording"]
