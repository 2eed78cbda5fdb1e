"""What the microscope makes of a structure: optics, scattering, dose, detector, scan, contamination."""

from micrograph.simulate.adf import adf, adf_points
from micrograph.simulate.optics import Microscope, probe
from micrograph.simulate.scattering import cross_section_A2

__all__ = ["Microscope", "adf", "adf_points", "cross_section_A2", "probe"]
