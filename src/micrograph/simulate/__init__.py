"""What the microscope makes of a structure: optics, scattering, dose, detector, scan, contamination."""

from micrograph.simulate.adf import adf, adf_points
from micrograph.simulate.brightness import brightness, microscope_of
from micrograph.simulate.contaminate import contamination, slow_background
from micrograph.simulate.dynamics import Dynamics, changes, simulate_history
from micrograph.simulate.history import Configuration, History
from micrograph.simulate.lattice import SiteGraph, hexagonal_sites, site_graph
from micrograph.simulate.optics import Microscope, probe
from micrograph.simulate.processes import Bind, Change, Create, Hop, Vanish
from micrograph.simulate.ranges import params_of, random_microscope, random_scan
from micrograph.simulate.rates import Conditions, Rate, Schedule, arrhenius, schedule
from micrograph.simulate.sampler import StemSampler, Structure
from micrograph.simulate.scan import Distortion, Scan, distort_positions, draw_distortion, expose
from micrograph.simulate.scattering import cross_section_A2

__all__ = [
    "Bind",
    "Change",
    "Conditions",
    "Configuration",
    "Create",
    "Distortion",
    "Dynamics",
    "History",
    "Hop",
    "Microscope",
    "Rate",
    "Scan",
    "Schedule",
    "SiteGraph",
    "StemSampler",
    "Structure",
    "Vanish",
    "adf",
    "adf_points",
    "arrhenius",
    "brightness",
    "changes",
    "contamination",
    "cross_section_A2",
    "distort_positions",
    "draw_distortion",
    "expose",
    "hexagonal_sites",
    "microscope_of",
    "params_of",
    "probe",
    "random_microscope",
    "random_scan",
    "schedule",
    "simulate_history",
    "site_graph",
    "slow_background",
]
