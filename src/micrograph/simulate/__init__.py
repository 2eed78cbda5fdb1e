"""What the microscope makes of a structure: optics, scattering, dose, detector, scan, contamination."""

from micrograph.simulate.adf import adf, adf_points
from micrograph.simulate.brightness import brightness, microscope_of
from micrograph.simulate.contaminate import contamination, slow_background
from micrograph.simulate.optics import Microscope, probe
from micrograph.simulate.ranges import params_of, random_microscope, random_scan
from micrograph.simulate.sampler import StemSampler, Structure
from micrograph.simulate.scan import Distortion, Scan, distort_positions, draw_distortion, expose
from micrograph.simulate.scattering import cross_section_A2

__all__ = [
    "Distortion",
    "Microscope",
    "Scan",
    "StemSampler",
    "Structure",
    "adf",
    "adf_points",
    "brightness",
    "contamination",
    "cross_section_A2",
    "distort_positions",
    "draw_distortion",
    "expose",
    "microscope_of",
    "params_of",
    "probe",
    "random_microscope",
    "random_scan",
    "slow_background",
]
