"""The pictures of the gallery: one simulated recording of a recipe's own kind, with what the recipe finds in it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from micrograph.core import Calibration, Frame, Prediction, Recording, SignalAxis
from micrograph.draw import outlines_figure, sites_figure, tubes_figure
from micrograph.draw.heights import heights_figure
from micrograph.draw.kinds import kinds_figure
from micrograph.draw.named import named_figure
from micrograph.features.diffraction.pattern_fit import Geometry, PatternFit, Prepared, expected
from micrograph.features.naming.prototypes import fit_prototypes
from micrograph.features.naming.sem_kinds import small
from micrograph.features.restoring.coding_plan import Coding
from micrograph.infer import load_encoder, load_predictor
from micrograph.infer.few_shot import shared_features
from micrograph.infer.predictor import unaided
from micrograph.io import open_recording
from micrograph.nets.prototype_spec import SMALL
from micrograph.report.energies import energy_figures
from micrograph.report.foils import foil_figures
from micrograph.report.micrographs import micro_figures
from micrograph.report.mixtures import mixture_figures
from micrograph.report.molecules import molecule_figures
from micrograph.report.restored import restored_figures
from micrograph.report.scans import scan_figures
from micrograph.report.spectra import told_spectra_figures
from micrograph.report.structures import structural_figures
from micrograph.report.surfaces import surface_figures
from micrograph.report.tilts import tilt_figures
from micrograph.report.tips import tip_figures
from micrograph.report.volumes import volume_figures
from micrograph.run import Analyser, Recipe, learned, presented
from micrograph.simulate import ParticleSampler
from micrograph.simulate.foils.crystal_defect_sampler import DefectImages
from micrograph.simulate.partial_sampler import PartialScans
from micrograph.simulate.patterns.scanned import random_scan
from micrograph.simulate.scanning.stm import StmScans
from micrograph.simulate.secondary.gold_films import GoldFilms
from micrograph.simulate.secondary.sem_sampler import KINDS, SemTextures
from micrograph.simulate.signals.plasmon_assemblies import AssemblyRanges, random_assembly, spectrum_map
from micrograph.simulate.signals.spectra import random_mixture
from micrograph.simulate.stem_scenes import StemScenes
from micrograph.simulate.tilt_images import Kept, random_crystal, view_of
from micrograph.simulate.tilt_scans import TiltScan
from micrograph.validate.columns.height_scenes import HrtemScenes, hrtem_particles
from micrograph.validate.foils.two_beam import TwoBeamImages
from micrograph.validate.lattices.tilt_checks import ASKED
from micrograph.validate.naming import few_shot_scenes
from micrograph.validate.restoring.coded_checks import encode
from micrograph.validate.restoring.coded_scenes import Scenes, draw_scene
from micrograph.validate.restoring.denoise_scenes import vacancies
from micrograph.validate.spectra.edx_scenes import DotMaps, DotSeries


def sites(recipe: Recipe) -> Figure:
    """Draw one simulated image of a lattice with its sites and defects."""
    data: Any = recipe.data
    sampler = replace(data, field_nm=4.0, dose_e_per_A2=(1e5, 1e5), electrons=None, contaminated=0.0)
    sample = sampler(np.random.default_rng(11))
    frame = Frame(sample.image, 0, Calibration(pixel_nm=sample.pixel_nm))
    tables = recipe.objects(load_predictor(str(recipe.model.weights))(frame))
    return sites_figure(sample.image, sample.pixel_nm, tables["objects"], recipe.title, tables["defects"])


def named(recipe: Recipe) -> Figure:
    """Draw one simulated defect of graphene, named by five examples of each of five."""
    names, rng = ("perfect", "V1", "V2", "SW", "Si1C3"), np.random.default_rng(4)
    family = few_shot_scenes.families()[0]
    features = shared_features()
    shots = [family.exposed(family.clean(name, 900 + n), rng)[0] for name in names for n in range(5)]
    prior = features.prior.repeated(len(SMALL))
    head = fit_prototypes(features.of_small(np.array(shots)), np.repeat(np.arange(5), 5), np.arange(25), prior)
    image = family.exposed(family.clean("V2", 990), rng)[0]
    chances = pd.DataFrame({"class": names, "probability": head.probabilities(features.of_small(image[None]))[0]})
    called = str(chances["class"][chances["probability"].argmax()])
    return named_figure(image, family.pixel_nm, chances, (f"{recipe.title}: five examples of each", called))


def kinds(recipe: Recipe) -> Figure:
    """Draw four simulated images of each of the ten kinds."""
    textures, rows = SemTextures(side_px=(176, 176)), []
    for place, name in enumerate(KINDS):
        images = [textures.of_kind(place, np.random.default_rng([3, place, n])).image for n in range(4)]
        rows.append((name, [(small(Frame(image, 0, Calibration())), "") for image in images]))
    return kinds_figure(rows, "Simulated images of every kind")


def surface(recipe: Recipe) -> Figure:
    """Draw one simulated surface of Si(111)-7x7 with its cell and what is missing or added."""
    data: Any = recipe.data
    sample = replace(data, side_px=256, reconstructed=1.0, islands=1.0, defects=(0.02, 0.03), snr=(8.0, 9.0))(
        np.random.default_rng(5)
    )
    frame = Frame(sample.image, 0, Calibration(pixel_nm=sample.pixel_nm, value_unit="nm"))
    prediction = unaided(frame)
    return surface_figures(recipe, prediction, recipe.objects(prediction))["surface"]


def foil(recipe: Recipe) -> Figure:
    """Draw one simulated foil by two-beam theory with its dislocations, precipitates and voids."""
    fields = DefectImages(
        side_px=384, line_px=(5.0, 6.0), contrast_to_noise=(6.0, 7.0), strength=(0.3, 0.4), precipitate_px=(16.0, 22.0),
        void_px=(14.0, 20.0), line_cover=(0.04, 0.05), precipitate_cover=(0.02, 0.03), void_cover=(0.02, 0.03),
        absent=0.0,
    )  # fmt: skip
    scene = TwoBeamImages(fields)(np.random.default_rng(12))
    frame = Frame(scene.image, 0, Calibration(pixel_nm=scene.pixel_nm))
    prediction = load_predictor(str(recipe.model.weights))(frame)
    return foil_figures(recipe, prediction, recipe.objects(prediction))["defects"]


def tip(recipe: Recipe) -> Figure:
    """Draw one simulated scan by a double tip with what its dangling bonds say."""
    scans = StmScans(states=(0.0, 1.0, 0.0), snr=(20.0, 21.0), pixel_nm=(0.12, 0.1201), field_nm=(30.0, 30.01))
    scan = scans(np.random.default_rng(3))
    prediction = Prediction(Frame(scan.image, 0, Calibration(pixel_nm=scan.pixel_nm)), {}, {}, scan.pixel_nm)
    tables = Analyser(recipe, unaided)(scan.image, scan.pixel_nm)
    (figure,) = tip_figures(recipe, prediction, tables).values()
    return figure


def molecules(recipe: Recipe) -> Figure:
    """Draw one simulated image of molecules with their states."""
    data: Any = recipe.data
    sample = replace(data, snr=(3.0, 3.01), cells=14)(np.random.default_rng(5))
    frame = Frame(sample.image, 0, Calibration(pixel_nm=sample.pixel_nm))
    figures = molecule_figures(recipe, unaided(frame), recipe.objects(unaided(frame)))
    return figures["molecules"]


def configurations(recipe: Recipe) -> Figure:
    """Draw a simulated surface beside what Monte Carlo makes of its energies at other temperatures."""
    data: Any = recipe.data
    sample = data(np.random.default_rng(5))
    predicted = unaided(Frame(sample.image, 0, Calibration(pixel_nm=sample.pixel_nm)))
    tables = recipe.objects(predicted)
    fold = recipe.summary
    figures = energy_figures(predicted, {**tables, **fold.result(fold.step(fold.start(), tables))})
    return figures["configurations"]


def denoised(recipe: Recipe) -> Figure:
    """Draw one simulated monolayer of 10 electrons a pixel with what is left without its noise."""
    image = vacancies(192, 10.0, np.random.default_rng(4)).noisy
    recording = Recording(lambda index: image, range(1), Calibration(pixel_nm=0.02), image.shape)
    with tempfile.TemporaryDirectory() as folder:
        found = learned(recipe, recording, Path(folder) / "model.safetensors")(recording.frame(0))
    (figure,) = restored_figures(recipe, found).values()
    return figure


def completed(recipe: Recipe) -> Figure:
    """Draw one simulated partial scan of a lattice with the full image that comes of it."""
    scans = PartialScans(StemScenes(side=256, shares={"grains": 1.0}), ("jittered",), (0.05, 0.0501), (500.0, 501.0))
    frame = Frame(scans(np.random.default_rng(6)).image, 0, Calibration(pixel_nm=0.01))
    found = load_predictor(str(recipe.model.weights), view=recipe.view)(frame)
    (figure,) = restored_figures(recipe, found).values()
    return figure


def finer(recipe: Recipe) -> Figure:
    """Draw one simulated image of a gold film with the finer one that comes of it."""
    films = GoldFilms(side=112, electrons=(200.0, 201.0), probe_px=(1.5, 1.6))
    frame = Frame(films(np.random.default_rng(6)).coarse, 0, Calibration(pixel_nm=4.0))
    found = load_predictor(str(recipe.model.weights), view=recipe.view)(frame)
    (figure,) = restored_figures(recipe, found).values()
    return figure


def maps(recipe: Recipe) -> Figure:
    """Draw one simulated map of an element with what is left without its noise."""
    maps = DotMaps(counts=(0.3, 0.3001))(np.random.default_rng(5))
    scale = Calibration(pixel_nm=0.2, content="elements", channels=("In", "Zn", "Se"))
    recording = Recording(lambda index: maps.counts, range(1), scale, maps.counts.shape)
    found = learned(recipe, recording, Path("unused"))(recording.frame(0))
    return restored_figures(recipe, found)["restored-Zn"]


def volumes(recipe: Recipe) -> Figure:
    """Draw the volumes of one simulated dot of 13 views with half a count a pixel."""
    series = DotSeries(counts=(0.5, 0.5001))(np.random.default_rng(6))
    scale = Calibration(pixel_nm=series.voxel_nm, content="elements", channels=series.elements)
    metadata = {"tilts_deg": series.tilts_deg}
    recording = Recording(
        lambda view: series.counts[:, view], range(13), scale, series.counts[:, 0].shape, metadata=metadata
    )
    shown = presented(recipe, recording)
    found = learned(recipe, shown, Path("unused"))(shown.frame(0))
    return volume_figures(found, recipe.objects(found))["volume-slices"]


def columns(recipe: Recipe) -> Figure:
    """Draw one simulated HRTEM image of a sheet with a hole, with its columns."""
    data: Any = recipe.data
    sheets = replace(data.samplers[0], field_nm=4.0, pixel_nm=(0.02, 0.0201), dose_e_per_A2=(1e5, 1e5), filmed=0.0)
    sample = replace(sheets, scene=replace(sheets.scene, boundaries=0.0, holed=1.0))(np.random.default_rng(4))
    frame = Frame(sample.image, 0, Calibration(pixel_nm=sample.pixel_nm))
    tables = recipe.objects(load_predictor(recipe.model.weights)(frame))
    return sites_figure(sample.image, sample.pixel_nm, tables["objects"], recipe.title, tables["defects"])


def tilts(recipe: Recipe) -> Figure:
    """Draw one simulated scan of a tilted perovskite with the map of its tilts."""
    ranges = replace(ASKED, angle_deg=(5.0, 9.0), tilted=1.0, thickness_nm=(12.0, 14.0), defocus_nm=(-1.0, 1.0))
    rng = np.random.default_rng(5)
    crystal = random_crystal(ranges, rng, 1, 1)
    image, pixel_nm = TiltScan(field_nm=5.0)(view_of(Kept.of(crystal.images()), crystal, (0, 0), 0.06, 0.1), rng)
    predict = load_encoder(str(recipe.model.weights), view=recipe.view)
    prediction = predict(Frame(image, 0, Calibration(pixel_nm=pixel_nm)))
    tables = {name: table.assign(frame=0) for name, table in recipe.objects(prediction).items()}
    return tilt_figures(recipe, prediction, tables)["tilts"]


def decoded(recipe: Recipe) -> Figure:
    """Draw one frame of a simulated movie of plates that diffuse, out of a coded frame of twenty."""
    scene = draw_scene("diffusing", Scenes(side_px=192, frames=20), 1, np.random.default_rng(3))
    data: Any = recipe.data
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "movie.coded.h5"
        encode(scene.recording(), path, Coding(20))
        opened = data.presented(open_recording(path))
        prediction = data.prepared(opened)(opened.frame(2))
    (figure,) = restored_figures(recipe, prediction).values()
    return figure


def spectra(recipe: Recipe) -> Figure:
    """Draw where the spectra of a simulated map peak, recorded and told by the image."""
    rng = np.random.default_rng(3)
    ranges = replace(AssemblyRanges(), kinds=(("island", 1.0),))
    recording = spectrum_map(random_assembly(ranges, rng), rng, step_nm=2.0).recording()
    data: Any = recipe.data
    frames = data.presented(recording)
    figures = told_spectra_figures(data.prepared(frames)(frames.frame(0)))
    return figures["told-map"]


def heights(recipe: Recipe) -> Figure:
    """Draw one simulated HRTEM image of a gold particle with the atoms in every column."""
    scene = HrtemScenes(hrtem_particles(diameter_nm=(3.2, 3.4)))(np.random.default_rng(11))
    pixel = scene.calibration.pixel_nm
    assert pixel is not None
    tables = recipe.objects(unaided(Frame(scene.image, 0, scene.calibration, scene.known)))
    return heights_figure(scene.image, pixel, tables["objects"], recipe.title)


def structural(recipe: Recipe) -> Figure:
    """Draw one simulated image of a recipe for crystals with the map that its report shows first."""
    sample = recipe.data(np.random.default_rng(11))
    frame = Frame(sample.image, 0, Calibration(pixel_nm=sample.pixel_nm))
    weights = recipe.model.weights
    prediction = load_predictor(weights)(frame) if weights else Prediction(frame, {}, {}, sample.pixel_nm)
    pictures = structural_figures(recipe, prediction, recipe.objects(prediction))
    return next(iter(pictures.values()))


def pattern(recipe: Recipe) -> Figure:
    """Draw one simulated convergent-beam pattern beside the fitted one."""
    data: Any = recipe.data
    scale = Calibration(voltage_kV=200.0, convergence_mrad=13.6, signal_axis=SignalAxis("mrad", 0.33))
    blank = Recording(lambda index: np.zeros((128, 128), np.float32), range(1), scale, (128, 128))
    predict = data.prepared(blank)
    truth = PatternFit(48.0, (1.6, -0.9), Geometry(62.0, 65.5, 0.33, 17.0), 1e6, 20.0)
    wide = Prepared.of(predict.prepared.library, 12.0)
    image = np.random.default_rng(11).poisson(np.clip(expected((128, 128), wide, truth), 0, None)).astype(np.float32)
    (figure,) = scan_figures(predict(Frame(image, 0, scale)), {}).values()
    return figure


def mixture(recipe: Recipe) -> Figure:
    """Draw where the endmembers of one simulated core-loss map are."""
    rng = np.random.default_rng(4)
    figures = mixture_figures(None, Analyser(recipe).movie(random_mixture("eels", rng, number=4).recording(rng)))
    return figures["shares"]


def scan(recipe: Recipe) -> Figure:
    """Draw where the beam is shifted to over one simulated scan."""
    scan = random_scan(np.random.default_rng(5), 64, 64, 2e4)
    figures = scan_figures(None, Analyser(recipe).movie(scan.recording(1)))
    return figures["centre-of-mass"]


def micrograph(recipe: Recipe) -> Figure:
    """Draw one simulated micrograph of ultrahigh-carbon steel with its constituents."""
    data: Any = recipe.data
    sample = replace(data, side_px=384, high_carbon=1.0, pixel_nm=(25.0, 25.0))(np.random.default_rng(12))
    frame = Frame(sample.image, 0, Calibration(pixel_nm=sample.pixel_nm))
    found = micro_figures(recipe, load_predictor(str(recipe.model.weights))(frame), {})
    return found["constituents"]


def outlined(recipe: Recipe) -> Figure:
    """Draw one simulated image of outlined objects with their outlines."""
    data: Any = recipe.data
    easy: dict[str, Any] = {"contrast_to_noise": (2.0, 3.0), "empty": 0.0}
    if isinstance(data, ParticleSampler):
        easy |= {"diameter_px": (30.0, 36.0), "covered": (0.2, 0.25), "gaps": ("close",), "pixel_nm": (0.2, 0.201)}
    sample = replace(data, side_px=384, **easy)(np.random.default_rng(11))
    frame = Frame(sample.image, 0, Calibration(pixel_nm=sample.pixel_nm))
    tables = recipe.objects(load_predictor(str(recipe.model.weights))(frame))
    return outlines_figure(sample.image, sample.pixel_nm, tables["objects"], tables["outlines"], recipe.title)


def tubes(recipe: Recipe) -> Figure:
    """Draw one simulated image of a nanotube with what it is."""
    data: Any = recipe.data
    sample = replace(data, dose_e_per_A2=(5e3, 5e3), side_px=320)(np.random.default_rng(11))
    frame = Frame(sample.image, 0, Calibration(pixel_nm=sample.pixel_nm))
    tables = recipe.objects(unaided(frame))
    return tubes_figure(sample.image, sample.pixel_nm, tables["objects"], recipe.title)


#: Recipe -> what draws its picture; recipes that are not here have none.
DRAWERS: dict[str, Callable[[Recipe], Figure]] = {
    "atoms": sites,
    "graphene-dopants": sites,
    "tmd-defects": sites,
    "defect-library": sites,
    "particle-shapes": outlined,
    "liquid-cell": outlined,
    "pores": outlined,
    "crystal-defects": foil,
    "pacbed": pattern,
    "virtual-detectors": scan,
    "nanotube-chirality": tubes,
    "dumbbells": structural,
    "lattice-types": structural,
    "surface-lattice": surface,
    "stm-tip": tip,
    "octahedral-tilts": tilts,
    "hrtem-columns": columns,
    "column-heights": heights,
    "unmix": mixture,
    "edx-tomography": volumes,
    "edx-denoise": maps,
    "denoise": denoised,
    "compressed-movie": decoded,
    "plasmon-spectra": spectra,
    "partial-scan": completed,
    "microstructure": micrograph,
    "sem-superres": finer,
    "segregation": configurations,
    "molecule-states": molecules,
    "few-shot": named,
    "sem-class": kinds,
}
