"""Which recipes "drop a file" proposes: simulated recordings of many kinds, each with the recipe made for it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from benchmarks.measured import Measured
from micrograph.apps.proposing import proposals
from micrograph.core import Calibration, Recording, SignalAxis
from micrograph.features.diffraction.pattern_fit import Geometry, PatternFit, Prepared, expected
from micrograph.recipes import find_recipe
from micrograph.simulate import View, etching_movie
from micrograph.simulate.patterns.scanned import random_scan
from micrograph.simulate.scanning.stm import StmScans
from micrograph.simulate.secondary.sem_sampler import SemTextures
from micrograph.simulate.signals.spectra import random_mixture
from micrograph.simulate.tilt_images import Kept, random_crystal, view_of
from micrograph.simulate.tilt_scans import TiltScan
from micrograph.validate.lattices.tilt_checks import ASKED
from micrograph.validate.spectra.edx_scenes import DotMaps

#: Makes a recording of one kind.
Maker = Callable[[np.random.Generator], Recording]


def still(image: Any, **scale: Any) -> Recording:
    """Return a recording of one image."""
    return Recording(lambda index: image, range(1), Calibration(**scale), image.shape, name="still")


def sampled(recipe: str, value_unit: str = "", **changes: Any) -> Maker:
    """Return what makes images of the kind that a recipe learned from, with settings of its sampler changed."""

    def make(rng: np.random.Generator) -> Recording:
        data: Any = find_recipe(recipe).data
        sample = (replace(data, **changes) if changes else data)(rng)
        return still(sample.image, pixel_nm=sample.pixel_nm, value_unit=value_unit)

    return make


def _rods(rng: np.random.Generator) -> Recording:
    view = View(frames=4, size_px=(192, 192), frame_time_s=2.0, signal_to_noise=4.0, liquid=False, passing=0)
    return etching_movie(rng, view=view).recording


def _tip(rng: np.random.Generator) -> Recording:
    scan = StmScans(snr=(15.0, 20.0), field_nm=(25.0, 30.0))(rng)
    return still(scan.image, pixel_nm=scan.pixel_nm, value_unit="nm")


def _tilts(rng: np.random.Generator) -> Recording:
    crystal = random_crystal(replace(ASKED, tilted=1.0, thickness_nm=(10.0, 16.0)), rng, 1, 1)
    image, pixel_nm = TiltScan(field_nm=5.0)(view_of(Kept.of(crystal.images()), crystal, (0, 0), 0.06, 0.1), rng)
    return still(image, pixel_nm=pixel_nm)


def _pattern(rng: np.random.Generator) -> Recording:
    scale = Calibration(voltage_kV=200.0, convergence_mrad=13.6, signal_axis=SignalAxis("mrad", 0.33))
    blank = Recording(lambda index: np.zeros((128, 128), np.float32), range(1), scale, (128, 128))
    data: Any = find_recipe("pacbed").data
    wide = Prepared.of(data.prepared(blank).prepared.library, 12.0)
    truth = PatternFit(48.0, (1.6, -0.9), Geometry(62.0, 65.5, 0.33, 17.0), 1e6, 20.0)
    image = rng.poisson(np.clip(expected((128, 128), wide, truth), 0, None)).astype(np.float32)
    return Recording(lambda index: image, range(1), scale, image.shape, name="pattern")


def _maps(rng: np.random.Generator) -> Recording:
    counts = DotMaps(counts=(0.3, 0.3001))(rng).counts
    scale = Calibration(pixel_nm=0.2, content="elements", channels=("In", "Zn", "Se"))
    return Recording(lambda index: counts, range(1), scale, counts.shape, name="maps")


#: Kind -> what makes a recording of it, and the recipe that is right.
KINDS: dict[str, tuple[Maker, str]] = {
    "movie of rods": (_rods, "particle-shapes"),
    "particles in liquid": (sampled("liquid-cell"), "liquid-cell"),
    "pores": (sampled("pores"), "pores"),
    "columns of a crystal": (sampled("atoms", field_nm=5.0), "atoms"),
    "graphene": (sampled("graphene-dopants", field_nm=5.0), "graphene-dopants"),
    "TMD monolayer": (sampled("tmd-defects", field_nm=5.0), "tmd-defects"),
    "dumbbells": (sampled("dumbbells"), "dumbbells"),
    "HRTEM columns": (sampled("hrtem-columns"), "hrtem-columns"),
    "metal particle": (sampled("column-heights"), "column-heights"),
    "tilted perovskite": (_tilts, "octahedral-tilts"),
    "nanotube": (sampled("nanotube-chirality", side_px=320, dose_e_per_A2=(5e3, 5e3)), "nanotube-chirality"),
    "foil with dislocations": (sampled("crystal-defects"), "crystal-defects"),
    "steel": (sampled("microstructure"), "microstructure"),
    "SEM of a surface": (lambda rng: still(SemTextures()(rng).image, pixel_nm=20.0), "sem-class"),
    "STM of a surface": (sampled("surface-lattice", "nm"), "surface-lattice"),
    "STM of dangling bonds": (_tip, "stm-tip"),
    "STM of molecules": (sampled("molecule-states", "nm"), "molecule-states"),
    "STM of an alloy": (sampled("segregation", "nm"), "segregation"),
    "convergent-beam pattern": (_pattern, "pacbed"),
    "4D-STEM scan": (lambda rng: random_scan(rng, 24, 24, 2e4).recording(1), "virtual-detectors"),
    "core-loss spectra": (lambda rng: random_mixture("eels", rng, number=4).recording(rng), "unmix"),
    "maps of elements": (_maps, "edx-denoise"),
}


def proposed(recording: Recording) -> tuple[list[str], float]:
    """Return the recipes that are proposed, the best first, and the processor time (s) until all are known."""
    begun = time.process_time()
    *_, (found, _) = proposals(recording)
    return [one.recipe for one in found if one.fits or one.missing], time.process_time() - begun


def ranks(seeds: range) -> Iterator[tuple[str, int, list[str], float]]:
    """Yield each kind, the place (from 0) of its recipe among the proposed ones, these, and the processor time (s)."""
    for kind, (make, right) in KINDS.items():
        for seed in seeds:
            found, took = proposed(make(np.random.default_rng(seed)))
            yield kind, found.index(right) if right in found else len(found), found, took


def proposed_first(quick: bool) -> list[Measured]:
    """Return how often the right recipe is proposed first, and among the first three, and what it costs."""
    told = list(ranks(range(100, 101 if quick else 102)))
    wrong = [f"{kind}: {', '.join(found[:3]) or 'none'}" for kind, rank, found, _ in told if rank]
    first, three = (float(np.mean([rank < most for _, rank, _, _ in told])) for most in (1, 3))
    times = [took for *_, took in told]
    of = f"of {len(told)} simulated files of {len(KINDS)} kinds"
    return [
        Measured("proposed_first", first, "", 0.9, True, f"{of}; not so {'; '.join(wrong) or 'none'}"),
        Measured("proposed_among_three", three, "", 1.0, True, of),
        Measured(
            "proposed_s", float(np.median(times)), "s", detail=f"processor time, median; at most {max(times):.1f} s"
        ),
    ]
