"""What the microscope makes of a structure: optics, scattering, dose, detector, scan, contamination."""

from micrograph.simulate.adf import adf, adf_points
from micrograph.simulate.brightness import brightness, microscope_of
from micrograph.simulate.contaminate import contamination, slow_background
from micrograph.simulate.kinetics.dynamics import Dynamics, changes, simulate_history
from micrograph.simulate.kinetics.history import Configuration, History
from micrograph.simulate.kinetics.lattice import SiteGraph, hexagonal_sites, site_graph
from micrograph.simulate.kinetics.processes import Bind, Change, Create, Hop, Vanish
from micrograph.simulate.kinetics.rates import Conditions, Rate, Schedule, arrhenius, schedule
from micrograph.simulate.layers.disordering_movie import DisorderSample, disordering_movie
from micrograph.simulate.layers.edge_movie import EDGE_RATES, EdgeSample, edge_history, edge_movie, equilibrium
from micrograph.simulate.layers.edge_states import EDGE_STATES, RING_SIZES
from micrograph.simulate.layers.silicon_movie import SiliconSample, silicon_movie
from micrograph.simulate.layers.tmd_movie import TMD_SETTINGS, TmdRates, TmdSample, tmd_movie
from micrograph.simulate.movies import Movie, MovieSettings, Objects, Scene, drift_course, render_movie, sample_box
from micrograph.simulate.objects.particle_movies import (
    Chaining,
    Coalescing,
    Diffusing,
    Etching,
    ParticleMovie,
    View,
    brownian_movie,
    chaining_movie,
    coalescence_movie,
    etching_movie,
)
from micrograph.simulate.objects.particle_sampler import ParticleSampler, ParticleScene
from micrograph.simulate.objects.particles import Field, Particle, Shadow, field_of, scattered, shadow
from micrograph.simulate.objects.pore_movie import PoreMovie, PoreMovieSettings, pore_movie
from micrograph.simulate.objects.pores import PoreSampler
from micrograph.simulate.optics import Microscope, probe
from micrograph.simulate.phase.hrtem import Lens, image_of_wave, phase_contrast
from micrograph.simulate.phase.hrtem_sampler import Either, HrtemSampler
from micrograph.simulate.phase.hrtem_scenes import ColumnScene, GrapheneSheets, WulffParticles
from micrograph.simulate.phase.nanotube_sampler import NanotubeSampler
from micrograph.simulate.point_movie import PointSample, point_movie
from micrograph.simulate.ranges import params_of, random_microscope, random_scan
from micrograph.simulate.sampler import StemSampler, Structure
from micrograph.simulate.scan import Distortion, Scan, distort_positions, draw_distortion, expose
from micrograph.simulate.scattering import cross_section_A2

__all__ = [
    "EDGE_RATES",
    "EDGE_STATES",
    "RING_SIZES",
    "TMD_SETTINGS",
    "Bind",
    "Chaining",
    "Change",
    "Coalescing",
    "ColumnScene",
    "Conditions",
    "Configuration",
    "Create",
    "Diffusing",
    "DisorderSample",
    "Distortion",
    "Dynamics",
    "EdgeSample",
    "Either",
    "Etching",
    "Field",
    "GrapheneSheets",
    "History",
    "Hop",
    "HrtemSampler",
    "Lens",
    "Microscope",
    "Movie",
    "MovieSettings",
    "NanotubeSampler",
    "Objects",
    "Particle",
    "ParticleMovie",
    "ParticleSampler",
    "ParticleScene",
    "PointSample",
    "PoreMovie",
    "PoreMovieSettings",
    "PoreSampler",
    "Rate",
    "Scan",
    "Scene",
    "Schedule",
    "Shadow",
    "SiliconSample",
    "SiteGraph",
    "StemSampler",
    "Structure",
    "TmdRates",
    "TmdSample",
    "Vanish",
    "View",
    "WulffParticles",
    "adf",
    "adf_points",
    "arrhenius",
    "brightness",
    "brownian_movie",
    "chaining_movie",
    "changes",
    "coalescence_movie",
    "contamination",
    "cross_section_A2",
    "disordering_movie",
    "distort_positions",
    "draw_distortion",
    "drift_course",
    "edge_history",
    "edge_movie",
    "equilibrium",
    "etching_movie",
    "expose",
    "field_of",
    "hexagonal_sites",
    "image_of_wave",
    "microscope_of",
    "params_of",
    "phase_contrast",
    "point_movie",
    "pore_movie",
    "probe",
    "random_microscope",
    "random_scan",
    "render_movie",
    "sample_box",
    "scattered",
    "schedule",
    "shadow",
    "silicon_movie",
    "simulate_history",
    "site_graph",
    "slow_background",
    "tmd_movie",
]
