"""One image of 4,000 atoms from file to tables, warm, and the same image through a plain deep-learning pipeline."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from numpy.typing import NDArray

from benchmarks.measured import Measured, Seconds, median, timed

PIXEL_NM, PIXELS, DOSE = 0.01, 1024, 1e5


@dataclass
class Clock:
    """Times of the stages by name, one entry a call."""

    times: dict[str, list[Seconds]] = field(default_factory=dict)

    def around(self, name: str, work: Callable[..., Any]) -> Callable[..., Any]:
        """Return `work`, timed under `name` at every call."""

        def run(*arguments: Any, **options: Any) -> Any:
            answers: list[Any] = []
            taken = timed(lambda: answers.append(work(*arguments, **options)))
            self.times.setdefault(name, []).append(taken)
            return answers[0]

        return run

    def share(self, name: str, warm: int) -> Seconds:
        """Return the median of the last `warm` calls."""
        return median(self.times[name][-warm:])


def graphene_image(seed: int = 1) -> NDArray[np.float32]:
    """Return a noisy image of displaced graphene with vacancies and silicon."""
    from micrograph.simulate import Microscope, Scan, adf, expose
    from micrograph.structures import graphene, random_displacements, with_silicon, with_vacancies

    rng = np.random.default_rng(seed)
    atoms = graphene(PIXELS * PIXEL_NM, rotation_deg=11.0)
    atoms = with_silicon(with_vacancies(atoms, rng, rate=0.004), rng, rate=0.005)
    atoms = random_displacements(atoms, 0.005, rng)
    fraction = adf(atoms, Microscope(), pixel_nm=PIXEL_NM, shape=(PIXELS, PIXELS), thermal_nm=0.005)
    return expose(fraction, Scan(dose_e_per_A2=DOSE), PIXEL_NM, rng)


def end_to_end(quick: bool) -> list[Measured]:
    """Read, infer, refine with errors, name the defects, write Parquet and CSV: the median of five warm runs."""
    warm = 2 if quick else 5
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "graphene.npy"
        np.save(path, graphene_image())
        clock, columns = _analyses(path, warm + 1)
        peers = [timed(lambda: plain_pipeline(np.load(path))) for _ in range(warm + 1)]
    total, infer, refine, objects = (clock.share(stage, warm) for stage in ("all", "infer", "refine", "objects"))
    plain = median(peers[1:])
    shares = {
        "infer": infer,
        "refine": refine,
        "lattice, strain, defects": objects.less(refine),
        "read, write": total.less(infer).less(objects),
    }
    detail = f"{columns} columns in {PIXELS} x {PIXELS} px; {_shares(shares)}; processor time {total.cpu:.2f} s"
    against = f"plain pipeline {plain.wall:.2f} s (processor {plain.cpu:.2f}): no errors, classes, lattice or defects"
    return [
        Measured("end_to_end", total.wall, "s", 0.3, detail=detail),
        Measured("end_to_end_ratio", total.wall / plain.wall, "", detail=against),
    ]


def _analyses(path: Path, repeats: int) -> tuple[Clock, int]:
    """Return the times of the stages of `repeats` analyses of one image, and the number of columns."""
    from micrograph.features.columns import locate
    from micrograph.features.columns.refine import refine
    from micrograph.infer import load_predictor
    from micrograph.io import open_recording
    from micrograph.recipes import find_recipe
    from micrograph.run import analyze

    recipe, clock = find_recipe("graphene-dopants"), Clock()
    predict = clock.around("infer", load_predictor(recipe.model.weights or "", device="cpu"))
    recipe = replace(recipe, objects=_Timed(clock, recipe.objects))

    def once() -> Any:
        return analyze(recipe, open_recording(path, pixel_nm=PIXEL_NM), predict, path.parent / "results")

    whole = clock.around("all", once)
    with mock.patch.object(locate, "refine", clock.around("refine", refine)):
        results = [whole() for _ in range(repeats)]
    return clock, len(results[-1].tables["objects"])


@dataclass(frozen=True)
class _Timed:
    """The recipe's features with a clock."""

    clock: Clock
    features: Any

    def __call__(self, prediction: Any) -> Mapping[str, Any]:
        tables: Mapping[str, Any] = self.clock.around("objects", self.features)(prediction)
        return tables


def _shares(shares: Mapping[str, Seconds]) -> str:
    return ", ".join(f"{name} {taken.wall:.2f} s (processor {taken.cpu:.2f})" for name, taken in shares.items())


def plain_pipeline(image: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return columns (N, 2) in pixels the usual way: PyTorch eager, connected components, centres of mass."""
    import torch
    from scipy import ndimage
    from skimage.measure import label

    from micrograph.nets import normalise, to_model_grid

    net, spec = _plain_network()
    with torch.inference_mode():
        seen = normalise(to_model_grid(image, PIXEL_NM, spec.pixel_nm), spec.pixel_nm)
        pad = [-n % 16 for n in seen.shape]
        padded = torch.nn.functional.pad(seen[None, None], (0, pad[1], 0, pad[0]), mode="reflect")
        score = torch.sigmoid(net(padded)[0])[0, 0, : seen.shape[0], : seen.shape[1]].numpy()
    blobs: NDArray[np.int_] = label(score > 0.5)  # type: ignore[no-untyped-call]
    centres = ndimage.center_of_mass(score, blobs, np.arange(1, blobs.max() + 1))
    steps = np.array(image.shape) / score.shape
    return np.asarray((np.array(centres).reshape(-1, 2) + 0.5) * steps - 0.5, np.float64)


def _plain_network(kept: list[Any] = []) -> Any:  # noqa: B006
    """Return network and specification of the shipped weights, loaded once."""
    if not kept:
        from micrograph.nets import build, load

        checkpoint = load("graphene-1")
        net = build(checkpoint.spec)
        net.load_state_dict(checkpoint.part("net"))
        kept.append((net.eval(), checkpoint.spec))
    return kept[0]
