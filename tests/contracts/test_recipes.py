"""What every recipe keeps to, whatever it finds."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms

from micrograph.core import Calibration, Flag, Frame, MissingCalibration, Prediction, Recording, Sample, Sampler
from micrograph.infer import Predictor
from micrograph.io import read_columns
from micrograph.nets import NoNet
from micrograph.recipes import RECIPES, find_recipe
from micrograph.report import write_report
from micrograph.run import Recipe, Result, RunSettings, analyze
from micrograph.simulate import Either, GrapheneSheets, NanotubeSampler, ParticleSampler, PoreSampler, StemSampler
from micrograph.structures import graphene, tmd

PIXEL_NM, SIDE, FRAMES = 0.02, 112, 5
#: Recipes that simulate nothing, because they learn from each recording -> whose samples their test movie shows.
SEEN_BY = {"movie-defects": "tmd-defects", "particle-search": "particle-shapes"}


#: Settings under which a recipe that learns from the movie itself learns little, and fast.
QUICK: dict[str, dict[str, object]] = {"disorder": {"seeds": 1, "rounds": 2, "most_crops": 300}}


def recipe_of(name: str) -> Recipe:
    """Return a recipe as it is tested here."""
    return find_recipe(name).with_settings(QUICK.get(name, {}))


#: Recipes that answer on whole patterns, structures or windows: they have no sites, and tests of their own.
OF_WHOLES = (
    "pacbed",
    "virtual-detectors",
    "edx-tomography",
    "edx-denoise",
    "crystal-class",
    "crystal-symmetry",
    "lattice-types",
    "surface-lattice",
    "octahedral-tilts",
    "unmix",
    "denoise",
    "compressed-movie",
    "plasmon-spectra",
    "partial-scan",
    "microstructure",
    "sem-superres",
    "crystal-defects",
    "segregation",
    "molecule-states",
    "stm-tip",
    "few-shot",
    "sem-class",
)

#: Recipes of outlined objects: what they see has an area, not only a place.
OUTLINED = ("particle-shapes", "liquid-cell", "pores", "particle-search")
#: Recipes whose objects are no atoms of a lattice.
NO_LATTICE = (*OUTLINED, *OF_WHOLES, "nanotube-chirality", "dumbbells", "hrtem-columns", "column-heights")
#: Pictures of what was found that are not called 'sites' or 'outlines'.
FIGURE = {"dumbbells": "dumbbells-separation", "column-heights": "heights"}


def small(name: str) -> Sampler:
    """Return the recipe's sampler for small, clean images of a fair dose."""
    recipe = find_recipe(name)
    data = find_recipe(SEEN_BY[name]).data if recipe.learner else recipe.data
    if isinstance(data, ParticleSampler):
        easy = replace(data, diameter_px=(14, 20), contrast_to_noise=(4, 6), covered=(0.15, 0.25), gaps=("apart",))
        return replace(easy, side_px=SIDE, pixel_nm=(PIXEL_NM, PIXEL_NM), empty=0.0, bright=0.0, liquid=0.0)
    if isinstance(data, PoreSampler):
        easy_pores = replace(data, radius_px=(9, 14), contrast_to_noise=(4, 6), contrast=(0.3, 0.5), empty=0.0)
        return replace(easy_pores, side_px=SIDE, pixel_nm=(PIXEL_NM, PIXEL_NM))
    if isinstance(data, NanotubeSampler):
        clear = replace(data, side_px=2 * SIDE, pixel_nm=(PIXEL_NM, PIXEL_NM), diameter_nm=(0.6, 0.8), pixel_error=0.0)
        return replace(clear, dose_e_per_A2=(2e4, 2e4), contaminated=0.0)
    if isinstance(data, Either):
        sheets = replace(data.samplers[0], field_nm=SIDE * PIXEL_NM, pixel_nm=(PIXEL_NM, PIXEL_NM), filmed=0.0)
        return replace(sheets, scene=GrapheneSheets(boundaries=0.0, holed=0.0), dose_e_per_A2=(2e5, 2e5))
    assert isinstance(data, StemSampler)
    clean = replace(data, field_nm=SIDE * PIXEL_NM, pixel_nm=(PIXEL_NM, PIXEL_NM), contaminated=0.0, noise_only=0.0)
    return replace(clean, dose_e_per_A2=(2e5, 2e5), electrons=None if clean.electrons is None else (800.0, 800.0))


@functools.cache
def samples(name: str) -> tuple[Sample, ...]:
    return tuple(small(name)(np.random.default_rng([11, number])) for number in range(FRAMES))


def movie(name: str, **changes: object) -> Recording:
    """Return a recording of `samples`."""
    images = [sample.image for sample in samples(name)]
    calibration = Calibration(pixel_nm=PIXEL_NM, frame_time_s=0.5)
    made = Recording(images.__getitem__, range(FRAMES), calibration, images[0].shape, name=f"{name} movie")
    return replace(made, **changes)  # type: ignore[arg-type]


#: Primitive cells per square nanometre of a hexagonal net of lattice constant a (nm).
PER_NM2 = {a: 2 / (a**2 * np.sqrt(3)) for a in (0.246, 0.316)}


def relabelled(atoms: Atoms) -> Atoms:
    atoms.set_array("label", np.full(len(atoms), "atom", dtype="U8"))
    return atoms


#: For each recipe a structure whose number of sites per square nanometre is known, by label.
KNOWN: dict[str, tuple[Callable[[float, np.random.Generator], Atoms], dict[str, float]]] = {
    "atoms": (lambda size, rng: relabelled(graphene(size)), {"atom": 2 * PER_NM2[0.246]}),
    "graphene-dopants": (lambda size, rng: graphene(size), {"C": 2 * PER_NM2[0.246]}),
    "tmd-defects": (lambda size, rng: tmd("MoS2", size), {"Mo": PER_NM2[0.316], "S2": PER_NM2[0.316]}),
}
KNOWN |= dict.fromkeys(("disorder", "defect-library", "dopant-motion", "edge-states"), KNOWN["graphene-dopants"])
KNOWN |= {"defect-strain": KNOWN["tmd-defects"]}


@pytest.fixture(scope="session")
def result_of(
    predictor_of: Callable[[str], Predictor], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Result]:
    """Return the result of a recipe's movie, frame by frame."""

    def run(name: str) -> Result:
        folder = Path(tmp_path_factory.mktemp(name))
        return analyze(recipe_of(name), movie(name), predictor_of(name), folder, settings=RunSettings(maps=True))

    return functools.cache(run)


ON_IMAGES = [name for name in RECIPES if name not in OF_WHOLES]
every_recipe = pytest.mark.parametrize("name", ON_IMAGES)
every_simulated = pytest.mark.parametrize("name", [name for name in ON_IMAGES if name not in SEEN_BY])
every_lattice = pytest.mark.parametrize("name", [name for name in RECIPES if name not in (*SEEN_BY, *NO_LATTICE)])
every_outlined = pytest.mark.parametrize("name", OUTLINED)


def tables(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.parquet"))}


@every_simulated
def test_samples_follow_from_the_generator_alone(name: str) -> None:
    first, again, other = (small(name)(np.random.default_rng(seed)) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first.image, again.image)
    np.testing.assert_array_equal(first.sites.y_nm, again.sites.y_nm)
    assert first.sites.label.tolist() == again.sites.label.tolist()
    assert first.params == again.params
    assert first.image.shape != other.image.shape or not np.array_equal(first.image, other.image)


@every_lattice
def test_the_labels_of_a_known_structure_have_the_known_density(name: str) -> None:
    structure, density = KNOWN[name]
    field = 5.0
    data = small(name)
    assert isinstance(data, StemSampler)
    sampler = replace(data, structure=structure, field_nm=field, pixel_nm=(0.05, 0.05))
    found = sampler(np.random.default_rng(0)).sites.label
    assert set(found) == set(density)
    for label, per_nm2 in density.items():
        edge = 4 * field * np.sqrt(per_nm2) / 2
        assert np.sum(found == label) == pytest.approx(per_nm2 * field**2, abs=edge)


@every_outlined
def test_a_disc_has_its_own_area_and_place(name: str) -> None:
    recipe, pixel = find_recipe(name), 0.5
    y, x = np.mgrid[:96, :96]
    depth = 20 - np.hypot(y - 40.3, x - 52.6)
    kind = recipe.model.names[0]
    maps = {kind: np.clip(depth + 0.5, 0, 1), "core": np.clip(depth / 20, 0, 1)}
    image = (100 - 50 * maps[kind]).astype(np.float32)
    frame = Frame(image, 0, Calibration(pixel_nm=pixel))
    float_maps = {name: values.astype(np.float32) for name, values in maps.items()}
    (row,) = recipe.objects(Prediction(frame, float_maps, float_maps, pixel))["objects"].to_dict("records")
    assert row["area_nm2"] == pytest.approx(np.pi * 20**2 * pixel**2, rel=0.005)
    assert (row["y_nm"], row["x_nm"]) == pytest.approx((40.3 * pixel, 52.6 * pixel), abs=0.02)
    assert row["circularity"] == pytest.approx(1, abs=0.01) and row["class"] == kind
    assert row["optical_depth"] == pytest.approx(np.log(2), rel=0.02)


@every_lattice
def test_every_site_is_known_to_a_head_or_is_empty(name: str) -> None:
    known = {label for head in find_recipe(name).model.heads for label in head.labels}
    for sample in samples(name):
        marks = sample.sites.label if sample.marks is None else sample.marks
        assert len(sample.sites) > 10
        assert all(mark in known or mark.startswith("vac") for mark in map(str, marks))


@every_recipe
def test_the_tables_hold_what_the_task_promises_with_units(name: str, result_of: Callable[[str], Result]) -> None:
    result = result_of(name)
    for table, promised in find_recipe(name).task.answers.items():
        stored = read_columns(result.folder / f"{table}.parquet")
        for column in promised:
            assert stored[column.name].unit == column.unit and stored[column.name].about == column.about
            assert column.sigma is None or stored[column.sigma].unit == column.unit
    objects, frames = result.tables["objects"], result.tables["frames"]
    assert frames["frame"].tolist() == list(range(FRAMES))
    assert len(objects) > 0 and (np.diff(objects["frame"]) >= 0).all()
    sure = objects[objects["flags"] == 0]
    assert (sure["y_sigma_nm"] > 0).all() and objects["score"].between(0, 1).all()


@every_recipe
def test_batches_parts_and_an_interruption_change_nothing(
    name: str, tmp_path: Path, result_of: Callable[[str], Result], predictor_of: Callable[[str], Predictor]
) -> None:
    recipe, predict = recipe_of(name), predictor_of(name)
    whole = tables(result_of(name).folder)

    class Pulled(Exception):
        pass

    def pull(done: int, total: int, note: str) -> None:
        if done == 3:
            raise Pulled

    parts = RunSettings(batch=8, part_frames=2, resume=True)
    with pytest.raises(Pulled):
        analyze(recipe, movie(name), predict, tmp_path / "parts", settings=parts, progress=pull)
    assert not tables(tmp_path / "parts")
    assert tables(analyze(recipe, movie(name), predict, tmp_path / "parts", settings=parts).folder) == whole


@every_recipe
def test_an_unknown_calibration_is_refused_with_how_to_give_it(name: str, tmp_path: Path) -> None:
    def never(frame: object) -> Prediction:
        raise AssertionError

    bare = movie(name, calibration=Calibration())
    with pytest.raises(MissingCalibration, match=f"Recipe '{name}' needs pixel_nm.*--pixel-size"):
        analyze(find_recipe(name), bare, never, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@every_recipe
def test_frames_that_show_nothing_give_empty_tables_and_a_flag(
    name: str, tmp_path: Path, predictor_of: Callable[[str], Predictor]
) -> None:
    values = (0.0, 5.0, np.nan)
    nothing = Recording(lambda i: np.full((64, 64), values[i]), range(3), Calibration(pixel_nm=0.02), (64, 64))
    result = analyze(find_recipe(name), nothing, predictor_of(name), tmp_path)
    for table in set(find_recipe(name).task.answers) - {"frames", *find_recipe(name).over_time}:
        assert len(result.tables[table]) == 0
    assert result.tables["frames"]["flags"].tolist() == [int(Flag.BAD_FRAME)] * 3
    assert (result.summary["number" if name in OUTLINED else "count"] == 0).all()
    assert "3 of 3 frames" in write_report(result).read_text(encoding="utf-8")


@every_recipe
def test_a_report_is_exported(name: str, result_of: Callable[[str], Result]) -> None:
    result = result_of(name)
    page = write_report(result).read_text(encoding="utf-8")
    assert find_recipe(name).title in page and find_recipe(name).task.reference in page
    figure = "outlines" if name in OUTLINED else FIGURE.get(name, "sites")
    assert (result.folder / "figures" / f"{figure}.png").stat().st_size > 5000


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_names_its_reference_and_is_listed_under_its_name(name: str) -> None:
    recipe = find_recipe(name)
    assert (
        recipe.name == name
        and recipe.task.reference.startswith(("doi:", "arXiv:"))
        and recipe.task.question.endswith("?")
    )
    assert {"objects", "frames", "summary"} <= set(recipe.task.answers)
    assert isinstance(recipe.model, NoNet) or recipe.model.weights is not None or recipe.learner is not None
