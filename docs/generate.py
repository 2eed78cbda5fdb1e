"""Renew what is generated in the documentation: the README's table of recipes and one gallery page a recipe.

Every number comes from the cards of the shipped weights (written by ``micrograph validate RECIPE --record``) and from
``benchmarks/results.json`` (written by ``make bench``); run with ``make readme``.
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from micrograph.core import Calibration, Frame, Prediction, Recording, SignalAxis
from micrograph.draw import outlines_figure, sites_figure, to_png, tubes_figure
from micrograph.draw.heights import heights_figure
from micrograph.draw.kinds import kinds_figure
from micrograph.draw.named import named_figure
from micrograph.features.coding_plan import Coding
from micrograph.features.pattern_fit import Geometry, PatternFit, Prepared, expected
from micrograph.features.prototypes import fit_prototypes
from micrograph.features.sem_kinds import small
from micrograph.infer import load_encoder, load_predictor
from micrograph.infer.few_shot import shared_features
from micrograph.infer.predictor import unaided
from micrograph.io import open_recording
from micrograph.nets import find_weights, read_card
from micrograph.nets.prototype_spec import SMALL
from micrograph.recipes import RECIPES, find_recipe
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
from micrograph.simulate import Either, NanotubeSampler, ParticleSampler, PoreSampler, StemSampler
from micrograph.simulate.crystal_defect_sampler import DefectImages
from micrograph.simulate.gold_films import GoldFilms
from micrograph.simulate.partial_sampler import PartialScans
from micrograph.simulate.plasmon_assemblies import AssemblyRanges, random_assembly, spectrum_map
from micrograph.simulate.scanned import random_scan
from micrograph.simulate.sem_sampler import KINDS, SemTextures
from micrograph.simulate.spectra import random_mixture
from micrograph.simulate.stem_scenes import StemScenes
from micrograph.simulate.stm import StmScans
from micrograph.simulate.tilt_images import Kept, random_crystal, view_of
from micrograph.simulate.tilt_scans import TiltScan
from micrograph.validate import few_shot_scenes, read_measured
from micrograph.validate.claim_checks import INTERVALS_OF
from micrograph.validate.coded_checks import encode
from micrograph.validate.coded_scenes import Scenes, draw_scene
from micrograph.validate.denoise_scenes import vacancies
from micrograph.validate.edx_scenes import DotMaps, DotSeries
from micrograph.validate.height_scenes import HrtemScenes, hrtem_particles
from micrograph.validate.tilt_checks import ASKED
from micrograph.validate.two_beam import TwoBeamImages

ROOT = Path(__file__).resolve().parent.parent
IMAGES = ROOT / "docs" / "images"
#: Recipes whose picture is a map over the frame.
STRUCTURAL = ("dumbbells", "lattice-types")
BEGIN, END = "<!-- generated: {} -->", "<!-- end -->"


def number(value: float | None) -> str:
    """Return a number as text with four digits, a dash for none."""
    return "-" if value is None or value != value else f"{value:.4g}"


def replace_between(text: str, name: str, body: str) -> str:
    """Return `text` with the part between the markers of `name` replaced by `body`."""
    begin = BEGIN.format(name)
    head, _, rest = text.partition(begin)
    _, _, tail = rest.partition(END)
    return f"{head}{begin}\n{body.strip()}\n{END}{tail}"


def check_rows(measured: list[dict[str, Any]]) -> str:
    """Return the checks of one recipe as a Markdown table."""
    if not measured:
        return "Not recorded yet: the command above prints them."
    lines = ["| check | number | 95 % interval | bound | limit | baseline | |", "|---|---|---|---|---|---|---|"]
    for row in measured:
        lines.append(
            f"| {row['name']} | {number(row['value'])} | {number(row['low'])} to {number(row['high'])} "
            f"| {row['direction']} {number(row['bound'])} | {number(row['limit'])} | {number(row['baseline'])} "
            f"| {'pass' if row['passed'] else 'falls short'} |"
        )
    return "\n".join(lines)


def interval_rows(recipe: Recipe) -> list[str]:
    """Return what is known of the recipe's intervals as lines of Markdown, none where it claims nothing."""
    if recipe.trust is None:
        return []
    told = [row for row in read_measured(recipe.name) if row["name"].startswith(INTERVALS_OF)]
    lines = ["## 90 % intervals", "Shares of rows that hold the truth; [what they mean](../how-to/trust.md).", ""]
    if not told:
        return [*lines, "Not recorded yet: tables have no such columns until they are.", ""]
    lines += ["| number | on unseen simulations, and on such as are unlike them |", "|---|---|"]
    lines += [f"| `{row['name'].removeprefix(INTERVALS_OF).split(':')[0]}` | {row['detail']} |" for row in told]
    return [*lines, ""]


def card_of(name: str) -> dict[str, Any]:
    """Return the card of a recipe's shipped weights, empty when it ships none."""
    weights = find_recipe(name).model.weights
    return read_card(find_weights(weights)) if weights else {}


def recipe_table() -> str:
    """Return the README's table: every recipe, its question, and how many of its bars it meets."""
    lines = ["| recipe | question | bars met | reference |", "|---|---|---|---|"]
    for name in RECIPES:
        task, checks = find_recipe(name).task, find_recipe(name).checks
        measured = read_measured(name)
        met = sum(bool(row["passed"]) for row in measured)
        left = len(checks) - len(measured)
        bars = f"{met} of {len(measured)}" + (f", {left} not recorded yet" if left else "")
        lines.append(f"| [`{name}`](docs/gallery/{name}.md) | {task.question} | {bars} | {task.reference} |")
    return "\n".join(lines)


def about(name: str) -> list[str]:
    """Return the lines that a person wrote about a recipe, where there are any."""
    path = ROOT / "docs" / "about" / f"{name}.md"
    return [*path.read_text(encoding="utf-8").strip().splitlines(), ""] if path.exists() else []


def example(recipe: Recipe) -> str:
    """Return a file and the options that a user of the recipe gives."""
    if "elements" in recipe.task.takes:
        return "maps.npz          # one array an element; or .h5, .zarr, .hspy, .mat, a folder of files"
    if "coded" in recipe.task.takes:
        return "movie.coded.h5    # made by: micrograph compress MOVIE -o movie.coded.h5 --frames 20"
    if "sites" in recipe.task.takes:
        return 'sites.csv           # x_nm, y_nm, class; or an image, with --pixel-size "0.05 nm"'
    if "structure" in recipe.task.takes:
        return "crystal.cif          # or patterns.tif, several zones of one crystal"
    if "peaks" in recipe.task.takes:
        return "peaks.csv            # columns gx_per_nm, gy_per_nm, gz_per_nm, intensity"
    if "spectra" in recipe.task.takes:
        return 'map.dm4          # or .hspy, .emd, .npy with --energy-axis "0.01 eV, 0.2 eV" and --scan-step "2 nm"'
    if "rows" in recipe.task.takes:
        return "scan.mib          # or .blo, .xml (EMPAD), .h5, .zarr, .npy with --pattern-pixel and --scan-step"
    if "phases" in recipe.task.answers:
        return 'micrograph.tif --pixel-size "25 nm"      # or the scale that a SEM wrote; a folder of many micrographs'
    if "outlines" in recipe.task.answers:
        return 'movie.dm4 --frame-time "0.1 s"       # or .npy/.tif with --pixel-size "0.2 nm"'
    if "frame_time_s" in recipe.task.needs or len(recipe.over_time) > 1:
        return 'movie.npy --pixel-size "0.0176 nm" --frame-time "0.5 s"'
    return 'my-scan.dm4          # or .npy/.tif with --pixel-size "0.0127 nm"'


def gallery_page(name: str) -> str:
    """Return the gallery page of one recipe."""
    recipe, card = find_recipe(name), card_of(name)
    columns = [
        f"| {table} | `{column.name}` | {column.unit or '-'} | {column.about} |"
        for table, promised in recipe.task.answers.items()
        for column in promised
    ]
    settings = [f"| `{key}` | `{value}` |" for key, value in recipe.settings().items()]
    domain = [f"| {key} | {low:g} | {high:g} |" for key, (low, high) in card.get("domain", {}).items()]
    return "\n".join(
        [
            f"# {recipe.name}: {recipe.title}",
            "",
            f"{recipe.task.question} Reference: {recipe.task.reference}.",
            "",
            *([f"![{recipe.title}](../images/{name}.png)", ""] if (IMAGES / f"{name}.png").exists() else []),
            *about(name),
            "```",
            f"micrograph analyze {name} {example(recipe)} -o results",
            f"micrograph validate {name}                                # the numbers below",
            "```",
            "",
            "## What it answers",
            "| table | column | unit | meaning |",
            "|---|---|---|---|",
            *columns,
            "",
            "## Settings (`--set key=value`)",
            "| setting | default |",
            "|---|---|",
            *settings,
            "",
            *(["## Trained on", "| quantity | from | to |", "|---|---|---|", *domain, ""] if domain else []),
            "## Measured",
            check_rows(read_measured(name)),
            "",
            *interval_rows(recipe),
        ]
    )


def bench_table() -> str:
    """Return the recorded benchmarks as a Markdown table."""
    path = ROOT / "benchmarks" / "results.json"
    if not path.exists():
        return "Not measured yet: `make bench`."
    lines = ["| benchmark | number | unit | bound | | how |", "|---|---|---|---|---|---|"]
    for row in json.loads(path.read_text()):
        verdict = "" if row.get("bound") is None else ("pass" if row["passed"] else "falls short")
        bound = row.get("bound_text", "-")
        bound = row.get("bound_text") or "-"
        cells = (row["name"], number(row["value"]), row["unit"], bound, verdict, row.get("detail", ""))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def gallery_picture(name: str) -> None:
    """Draw one simulated image of a recipe's own kind with what the recipe finds in it."""
    recipe = find_recipe(name)
    if isinstance(recipe.data, ParticleSampler | PoreSampler):
        outlined_picture(recipe)
    if isinstance(recipe.data, NanotubeSampler):
        tubes_picture(recipe)
    if isinstance(recipe.data, Either):
        columns_picture(recipe)
    if name in STRUCTURAL:
        structural_picture(recipe)
    if name == "surface-lattice":
        surface_picture(recipe)
    if name == "pacbed":
        pattern_picture(recipe)
    if name == "virtual-detectors":
        scan_picture(recipe)
    if name == "unmix":
        mixture_picture(recipe)
    if name == "molecule-states":
        molecules_picture(recipe)
    if name == "segregation":
        configurations_picture(recipe)
    if name == "octahedral-tilts":
        tilts_picture(recipe)
    if name == "plasmon-spectra":
        spectra_picture(recipe)
    if name == "column-heights":
        heights_picture(recipe)
    if name == "compressed-movie":
        decoded_picture(recipe)
    if name == "edx-denoise":
        maps_picture(recipe)
    if name == "edx-tomography":
        volumes_picture(recipe)
    if name == "partial-scan":
        completed_picture(recipe)
    if name == "sem-superres":
        finer_picture(recipe)
    if name == "few-shot":
        named_picture(recipe)
    if name == "sem-class":
        kinds_picture(recipe)
    if name == "denoise":
        denoised_picture(recipe)
    if name == "crystal-defects":
        foil_picture(recipe)
    if name == "microstructure":
        micrograph_picture(recipe)
    if name == "stm-tip":
        tip_picture(recipe)
    if not isinstance(recipe.data, StemSampler) or len(recipe.over_time) > 1 or recipe.model.weights is None:
        return
    if name in STRUCTURAL:
        return
    sampler = replace(recipe.data, field_nm=4.0, dose_e_per_A2=(1e5, 1e5), electrons=None, contaminated=0.0)
    sample = sampler(np.random.default_rng(11))
    frame = Frame(sample.image, 0, Calibration(pixel_nm=sample.pixel_nm))
    tables = recipe.objects(load_predictor(recipe.model.weights)(frame))
    figure = sites_figure(sample.image, sample.pixel_nm, tables["objects"], recipe.title, tables["defects"])
    (IMAGES / f"{name}.png").write_bytes(to_png(figure))


def named_picture(recipe: Recipe) -> None:
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
    figure = named_figure(image, family.pixel_nm, chances, (f"{recipe.title}: five examples of each", called))
    (IMAGES / f"{recipe.name}.png").write_bytes(to_png(figure))


def kinds_picture(recipe: Recipe) -> None:
    """Draw four simulated images of each of the ten kinds."""
    textures, rows = SemTextures(side_px=(176, 176)), []
    for place, name in enumerate(KINDS):
        images = [textures.of_kind(place, np.random.default_rng([3, place, n])).image for n in range(4)]
        rows.append((name, [(small(Frame(image, 0, Calibration())), "") for image in images]))
    figure = kinds_figure(rows, "Simulated images of every kind")
    (IMAGES / f"{recipe.name}.png").write_bytes(to_png(figure))


def surface_picture(recipe: Recipe) -> None:
    """Draw one simulated surface of Si(111)-7x7 with its cell and what is missing or added."""
    data: Any = recipe.data
    sample = replace(data, side_px=256, reconstructed=1.0, islands=1.0, defects=(0.02, 0.03), snr=(8.0, 9.0))(
        np.random.default_rng(5)
    )
    frame = Frame(sample.image, 0, Calibration(pixel_nm=sample.pixel_nm, value_unit="nm"))
    prediction = unaided(frame)
    figure = surface_figures(recipe, prediction, recipe.objects(prediction))["surface"]
    (IMAGES / f"{recipe.name}.png").write_bytes(to_png(figure))


def foil_picture(recipe: Recipe) -> None:
    """Draw one simulated foil by two-beam theory with its dislocations, precipitates and voids."""
    fields = DefectImages(
        side_px=384, line_px=(5.0, 6.0), contrast_to_noise=(6.0, 7.0), strength=(0.3, 0.4), precipitate_px=(16.0, 22.0),
        void_px=(14.0, 20.0), line_cover=(0.04, 0.05), precipitate_cover=(0.02, 0.03), void_cover=(0.02, 0.03),
        absent=0.0,
    )  # fmt: skip
    scene = TwoBeamImages(fields)(np.random.default_rng(12))
    frame = Frame(scene.image, 0, Calibration(pixel_nm=scene.pixel_nm))
    prediction = load_predictor(str(recipe.model.weights))(frame)
    figure = foil_figures(recipe, prediction, recipe.objects(prediction))["defects"]
    (IMAGES / f"{recipe.name}.png").write_bytes(to_png(figure))


def tip_picture(recipe: Recipe) -> None:
    """Draw one simulated scan by a double tip with what its dangling bonds say."""
    scans = StmScans(states=(0.0, 1.0, 0.0), snr=(20.0, 21.0), pixel_nm=(0.12, 0.1201), field_nm=(30.0, 30.01))
    scan = scans(np.random.default_rng(3))
    prediction = Prediction(Frame(scan.image, 0, Calibration(pixel_nm=scan.pixel_nm)), {}, {}, scan.pixel_nm)
    tables = Analyser(recipe, unaided)(scan.image, scan.pixel_nm)
    (figure,) = tip_figures(recipe, prediction, tables).values()
    (IMAGES / f"{recipe.name}.png").write_bytes(to_png(figure))


def molecules_picture(recipe: Recipe) -> None:
    """Draw one simulated image of molecules with their states."""
    data: Any = recipe.data
    sample = replace(data, snr=(3.0, 3.01), cells=14)(np.random.default_rng(5))
    frame = Frame(sample.image, 0, Calibration(pixel_nm=sample.pixel_nm))
    figures = molecule_figures(recipe, unaided(frame), recipe.objects(unaided(frame)))
    (IMAGES / f"{recipe.name}.png").write_bytes(to_png(figures["molecules"]))


def configurations_picture(recipe: Recipe) -> None:
    """Draw a simulated surface beside what Monte Carlo makes of its energies at other temperatures."""
    data: Any = recipe.data
    sample = data(np.random.default_rng(5))
    predicted = unaided(Frame(sample.image, 0, Calibration(pixel_nm=sample.pixel_nm)))
    tables = recipe.objects(predicted)
    fold = recipe.summary
    figures = energy_figures(predicted, {**tables, **fold.result(fold.step(fold.start(), tables))})
    (IMAGES / f"{recipe.name}.png").write_bytes(to_png(figures["configurations"]))


def denoised_picture(recipe: Recipe) -> None:
    """Draw one simulated monolayer of 10 electrons a pixel with what is left without its noise."""
    image = vacancies(192, 10.0, np.random.default_rng(4)).noisy
    recording = Recording(lambda index: image, range(1), Calibration(pixel_nm=0.02), image.shape)
    with tempfile.TemporaryDirectory() as folder:
        found = learned(recipe, recording, Path(folder) / "model.safetensors")(recording.frame(0))
    (figure,) = restored_figures(recipe, found).values()
    (IMAGES / f"{recipe.name}.png").write_bytes(to_png(figure))


def completed_picture(recipe: Recipe) -> None:
    """Draw one simulated partial scan of a lattice with the full image that comes of it."""
    scans = PartialScans(StemScenes(side=256, shares={"grains": 1.0}), ("jittered",), (0.05, 0.0501), (500.0, 501.0))
    frame = Frame(scans(np.random.default_rng(6)).image, 0, Calibration(pixel_nm=0.01))
    found = load_predictor(str(recipe.model.weights), view=recipe.view)(frame)
    for figure in restored_figures(recipe, found).values():
        (IMAGES / f"{recipe.name}.png").write_bytes(to_png(figure))


def finer_picture(recipe: Recipe) -> None:
    """Draw one simulated image of a gold film with the finer one that comes of it."""
    films = GoldFilms(side=112, electrons=(200.0, 201.0), probe_px=(1.5, 1.6))
    frame = Frame(films(np.random.default_rng(6)).coarse, 0, Calibration(pixel_nm=4.0))
    found = load_predictor(str(recipe.model.weights), view=recipe.view)(frame)
    for figure in restored_figures(recipe, found).values():
        (IMAGES / f"{recipe.name}.png").write_bytes(to_png(figure))


def maps_picture(recipe: Recipe) -> None:
    """Draw one simulated map of an element with what is left without its noise."""
    maps = DotMaps(counts=(0.3, 0.3001))(np.random.default_rng(5))
    scale = Calibration(pixel_nm=0.2, content="elements", channels=("In", "Zn", "Se"))
    recording = Recording(lambda index: maps.counts, range(1), scale, maps.counts.shape)
    found = learned(recipe, recording, Path("unused"))(recording.frame(0))
    figure = restored_figures(recipe, found)["restored-Zn"]
    (IMAGES / f"{recipe.name}.png").write_bytes(to_png(figure))


def volumes_picture(recipe: Recipe) -> None:
    """Draw the volumes of one simulated dot of 13 views with half a count a pixel."""
    series = DotSeries(counts=(0.5, 0.5001))(np.random.default_rng(6))
    scale = Calibration(pixel_nm=series.voxel_nm, content="elements", channels=series.elements)
    metadata = {"tilts_deg": series.tilts_deg}
    recording = Recording(
        lambda view: series.counts[:, view], range(13), scale, series.counts[:, 0].shape, metadata=metadata
    )
    shown = presented(recipe, recording)
    found = learned(recipe, shown, Path("unused"))(shown.frame(0))
    figure = volume_figures(found, recipe.objects(found))["volume-slices"]
    (IMAGES / f"{recipe.name}.png").write_bytes(to_png(figure))


def columns_picture(recipe: Recipe) -> None:
    """Draw one simulated HRTEM image of a sheet with a hole, with its columns."""
    data: Any = recipe.data
    sheets = replace(data.samplers[0], field_nm=4.0, pixel_nm=(0.02, 0.0201), dose_e_per_A2=(1e5, 1e5), filmed=0.0)
    sample = replace(sheets, scene=replace(sheets.scene, boundaries=0.0, holed=1.0))(np.random.default_rng(4))
    frame = Frame(sample.image, 0, Calibration(pixel_nm=sample.pixel_nm))
    tables = recipe.objects(load_predictor(recipe.model.weights)(frame))
    figure = sites_figure(sample.image, sample.pixel_nm, tables["objects"], recipe.title, tables["defects"])
    (IMAGES / f"{recipe.name}.png").write_bytes(to_png(figure))


def tilts_picture(recipe: Recipe) -> None:
    """Draw one simulated scan of a tilted perovskite with the map of its tilts."""
    ranges = replace(ASKED, angle_deg=(5.0, 9.0), tilted=1.0, thickness_nm=(12.0, 14.0), defocus_nm=(-1.0, 1.0))
    rng = np.random.default_rng(5)
    crystal = random_crystal(ranges, rng, 1, 1)
    image, pixel_nm = TiltScan(field_nm=5.0)(view_of(Kept.of(crystal.images()), crystal, (0, 0), 0.06, 0.1), rng)
    predict = load_encoder(str(recipe.model.weights), view=recipe.view)
    prediction = predict(Frame(image, 0, Calibration(pixel_nm=pixel_nm)))
    tables = {name: table.assign(frame=0) for name, table in recipe.objects(prediction).items()}
    (IMAGES / f"{recipe.name}.png").write_bytes(to_png(tilt_figures(recipe, prediction, tables)["tilts"]))


def decoded_picture(recipe: Recipe) -> None:
    """Draw one frame of a simulated movie of plates that diffuse, out of a coded frame of twenty."""
    scene = draw_scene("diffusing", Scenes(side_px=192, frames=20), 1, np.random.default_rng(3))
    data: Any = recipe.data
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "movie.coded.h5"
        encode(scene.recording(), path, Coding(20))
        opened = data.presented(open_recording(path))
        prediction = data.prepared(opened)(opened.frame(2))
    (figure,) = restored_figures(recipe, prediction).values()
    (IMAGES / f"{recipe.name}.png").write_bytes(to_png(figure))


def spectra_picture(recipe: Recipe) -> None:
    """Draw where the spectra of a simulated map peak, recorded and told by the image."""
    rng = np.random.default_rng(3)
    ranges = replace(AssemblyRanges(), kinds=(("island", 1.0),))
    recording = spectrum_map(random_assembly(ranges, rng), rng, step_nm=2.0).recording()
    data: Any = recipe.data
    frames = data.presented(recording)
    figures = told_spectra_figures(data.prepared(frames)(frames.frame(0)))
    (IMAGES / f"{recipe.name}.png").write_bytes(to_png(figures["told-map"]))


def heights_picture(recipe: Recipe) -> None:
    """Draw one simulated HRTEM image of a gold particle with the atoms in every column."""
    scene = HrtemScenes(hrtem_particles(diameter_nm=(3.2, 3.4)))(np.random.default_rng(11))
    pixel = scene.calibration.pixel_nm
    assert pixel is not None
    tables = recipe.objects(unaided(Frame(scene.image, 0, scene.calibration, scene.known)))
    figure = heights_figure(scene.image, pixel, tables["objects"], recipe.title)
    (IMAGES / f"{recipe.name}.png").write_bytes(to_png(figure))


def structural_picture(recipe: Recipe) -> None:
    """Draw one simulated image of a recipe for crystals with the map that its report shows first."""
    sample = recipe.data(np.random.default_rng(11))
    frame = Frame(sample.image, 0, Calibration(pixel_nm=sample.pixel_nm))
    weights = recipe.model.weights
    prediction = load_predictor(weights)(frame) if weights else Prediction(frame, {}, {}, sample.pixel_nm)
    pictures = structural_figures(recipe, prediction, recipe.objects(prediction))
    (IMAGES / f"{recipe.name}.png").write_bytes(to_png(next(iter(pictures.values()))))


def pattern_picture(recipe: Recipe) -> None:
    """Draw one simulated convergent-beam pattern beside the fitted one."""
    data: Any = recipe.data
    scale = Calibration(voltage_kV=200.0, convergence_mrad=13.6, signal_axis=SignalAxis("mrad", 0.33))
    blank = Recording(lambda index: np.zeros((128, 128), np.float32), range(1), scale, (128, 128))
    predict = data.prepared(blank)
    truth = PatternFit(48.0, (1.6, -0.9), Geometry(62.0, 65.5, 0.33, 17.0), 1e6, 20.0)
    wide = Prepared.of(predict.prepared.library, 12.0)
    image = np.random.default_rng(11).poisson(np.clip(expected((128, 128), wide, truth), 0, None)).astype(np.float32)
    (figure,) = scan_figures(predict(Frame(image, 0, scale)), {}).values()
    (IMAGES / f"{recipe.name}.png").write_bytes(to_png(figure))


def mixture_picture(recipe: Recipe) -> None:
    """Draw where the endmembers of one simulated core-loss map are."""
    rng = np.random.default_rng(4)
    figures = mixture_figures(None, Analyser(recipe).movie(random_mixture("eels", rng, number=4).recording(rng)))
    (IMAGES / f"{recipe.name}.png").write_bytes(to_png(figures["shares"]))


def scan_picture(recipe: Recipe) -> None:
    """Draw where the beam is shifted to over one simulated scan."""
    scan = random_scan(np.random.default_rng(5), 64, 64, 2e4)
    figures = scan_figures(None, Analyser(recipe).movie(scan.recording(1)))
    (IMAGES / f"{recipe.name}.png").write_bytes(to_png(figures["centre-of-mass"]))


def micrograph_picture(recipe: Recipe) -> None:
    """Draw one simulated micrograph of ultrahigh-carbon steel with its constituents."""
    data: Any = recipe.data
    sample = replace(data, side_px=384, high_carbon=1.0, pixel_nm=(25.0, 25.0))(np.random.default_rng(12))
    frame = Frame(sample.image, 0, Calibration(pixel_nm=sample.pixel_nm))
    found = micro_figures(recipe, load_predictor(str(recipe.model.weights))(frame), {})
    (IMAGES / f"{recipe.name}.png").write_bytes(to_png(found["constituents"]))


def outlined_picture(recipe: Recipe) -> None:
    """Draw one simulated image of outlined objects with their outlines."""
    data: Any = recipe.data
    easy: dict[str, Any] = {"contrast_to_noise": (2.0, 3.0), "empty": 0.0}
    if isinstance(data, ParticleSampler):
        easy |= {"diameter_px": (30.0, 36.0), "covered": (0.2, 0.25), "gaps": ("close",), "pixel_nm": (0.2, 0.201)}
    sample = replace(data, side_px=384, **easy)(np.random.default_rng(11))
    frame = Frame(sample.image, 0, Calibration(pixel_nm=sample.pixel_nm))
    tables = recipe.objects(load_predictor(str(recipe.model.weights))(frame))
    figure = outlines_figure(sample.image, sample.pixel_nm, tables["objects"], tables["outlines"], recipe.title)
    (IMAGES / f"{recipe.name}.png").write_bytes(to_png(figure))


def tubes_picture(recipe: Recipe) -> None:
    """Draw one simulated image of a nanotube with what it is."""
    data: Any = recipe.data
    sample = replace(data, dose_e_per_A2=(5e3, 5e3), side_px=320)(np.random.default_rng(11))
    frame = Frame(sample.image, 0, Calibration(pixel_nm=sample.pixel_nm))
    tables = recipe.objects(unaided(frame))
    figure = tubes_figure(sample.image, sample.pixel_nm, tables["objects"], recipe.title)
    (IMAGES / f"{recipe.name}.png").write_bytes(to_png(figure))


def main() -> None:
    """Rewrite the README's generated parts and the gallery."""
    readme = ROOT / "README.md"
    text = replace_between(readme.read_text(encoding="utf-8"), "recipes", recipe_table())
    readme.write_text(replace_between(text, "benchmarks", bench_table()), encoding="utf-8")
    for name in RECIPES:
        (ROOT / "docs" / "gallery" / f"{name}.md").write_text(gallery_page(name), encoding="utf-8")
        gallery_picture(name)


if __name__ == "__main__":
    main()
