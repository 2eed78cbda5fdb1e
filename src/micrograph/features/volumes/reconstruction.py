"""A tilt series of counts to volumes of elements: which prior, and how strong, is asked of the counts themselves.

Three priors are tried on four fifths of the counts and judged by the last fifth, which is independent of them: few
edges (total variation), few edges of the difference from particles with core and shell, and these particles alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from micrograph.features.volumes.projector import Projector, Volume
from micrograph.features.volumes.shells import Bodies, Fit, begin
from micrograph.features.volumes.tomography import Known, TotalVariation, sirt, total_variation

Array = NDArray[np.float64]
#: Called with (done, all, a few words).
Progress = Callable[[int, int, str], object]

#: Weights of the total variation that are tried, for voxels of 1/48 of the field; of the difference from a model.
WEIGHTS, GUIDED = (0.1, 0.2, 0.4), (1.6, 6.4)
#: Share of the counts by which priors are judged.
_LEFT_OUT = 0.2
#: The coarse grid, on which priors are tried, is at most so wide.
COARSE = 64
#: 1-sigma (nm) of where fitted surfaces lie beyond counting: edges and roughness that harmonics leave out, as measured.
EDGE_NM = 0.2
#: HAADF counts as so many counts a pixel at its brightest.
HAADF_COUNTS = 10.0


@dataclass(frozen=True)
class Series:
    """A tilt series of counts (C, V, Y, X) with its projector, and HAADF (V, Y, X) as further counts where there is."""

    counts: Volume
    projector: Projector
    haadf: Volume | None = None

    @property
    def all(self) -> Volume:
        """Counts of the elements, and HAADF as one more element."""
        return self.counts if self.haadf is None else np.concatenate([self.counts, self.haadf[None]])

    def binned(self, number: int) -> Series:
        """Return the series with `number` x `number` pixels added into one; what is left over is cut."""
        if number == 1:
            return self
        old = self.projector
        width = old.width // number
        shifts = tuple(one / number for one in old.shift_px)
        projector = Projector(old.tilts_deg, width, max(old.depth // number, 1), shifts, old.dose, old.haze)
        haadf = None if self.haadf is None else _summed(self.haadf, number) / np.float32(number**2)
        return Series(_summed(self.counts, number), projector, haadf)


def _summed(views: Volume, number: int) -> Volume:
    height, width = (size // number for size in views.shape[-2:])
    cut = views[..., : height * number, : width * number]
    return np.asarray(cut.reshape(*views.shape[:-2], height, number, width, number).sum(axis=(-3, -1)), np.float32)


@dataclass(frozen=True)
class Choice:
    """A prior: 'variation', 'guided' or 'shells', its weight, and how likely it makes the counts left out."""

    prior: str
    weight: float
    likelihood: float = np.nan


@dataclass(frozen=True)
class Reconstruction:
    """Volumes (C, Z, Y, X) in counts a voxel, their 1-sigma, the choices tried (the first was taken), the particles.

    misfit (C,): chi^2 over pixels of the re-projected volumes (see `left_over`); expected (C, V, Y, X): these.
    """

    volumes: Volume
    sigma: Volume
    choices: tuple[Choice, ...]
    bodies: Bodies | None
    misfit: Array
    ground: tuple[float, ...]
    expected: Volume = field(repr=False)


@dataclass(frozen=True)
class Plan:
    """How to reconstruct: prior ('auto' asks the counts), the specimen's voxel in nm, steps, replicas for the sigma."""

    voxel_nm: float = 1.0
    prior: str = "auto"
    iterations: int = 60
    replicas: int = 4
    seed: int = 0
    degree: int = 6


def reconstruct(series: Series, plan: Plan, progress: Progress | None = None) -> Reconstruction:
    """Return the volumes of a tilt series, with 1-sigma and particles."""
    show = progress or (lambda done, total, words: None)
    number = max(1, -(-series.projector.width // COARSE))
    coarse = series.binned(number)
    rough = replace(plan, voxel_nm=plan.voxel_nm * number)
    rng = np.random.default_rng(plan.seed)
    ground = grounds(coarse)
    show(1, 20, "choosing the prior")
    choices, bodies = choose(coarse, rough, ground, rng, show)
    best = choices[0]
    if bodies is not None:
        ground = tuple(float(one) for one in bodies.ground)
    show(10, 20, f"reconstructing, prior: {best.prior}")
    made = _volumes(coarse, rough, best, bodies, ground)
    if bodies is not None:
        bodies = Fit(coarse.all, coarse.projector, bodies).with_covariances(bodies)
    sigma = _sigma(coarse, rough, best, (made, bodies), ground, rng)
    show(13, 20, f"reconstructing, prior: {best.prior}")
    fine_ground = tuple(one / number**2 for one in ground)
    if number > 1:
        made, sigma = _refined(series, plan, best, (made, sigma, bodies), fine_ground, show)
    expected = np.stack(
        [
            series.projector.forward(one) + level * series.projector.hazes
            for one, level in zip(made, fine_ground, strict=False)
        ]
    )
    count = len(series.counts)
    chi = np.array([left_over(own, one) for own, one in zip(series.counts, expected, strict=False)])
    return Reconstruction(made[:count], sigma[:count], choices, bodies, chi, fine_ground[:count], expected[:count])


def left_over(counts: Volume, expected: Volume, least: float = 0.25, bright: float = 0.5) -> float:
    """Return chi^2 over the number of pixels of a series (V, Y, X), where it expects at least `least` counts.

    Where hardly any pixel expects `bright` counts, 2 x 2, 4 x 4 or 8 x 8 of them are one: single counts in the dark
    would make the sum a matter of luck.
    """
    for number in (1, 2, 4, 8):
        have, want = (_summed(one, number).astype(float) for one in (counts, expected))
        if np.quantile(want, 0.98) >= bright:
            break
    seen = want >= least
    return float(((have[seen] - want[seen]) ** 2 / want[seen]).mean()) if seen.any() else np.nan


def grounds(series: Series) -> tuple[float, ...]:
    """Return the counts a pixel of each element, and of HAADF, far from what is bright: the background.

    What is bright is widened before, so that dark pixels are not chosen by their own counts.
    """
    from scipy.ndimage import binary_dilation, gaussian_filter

    soft = gaussian_filter(series.all.sum(axis=0), (0, 2, 2))
    bright = soft > 0.2 * np.quantile(soft, 0.98)
    dark = ~binary_dilation(bright, np.ones((1, 3, 3), bool), 4)
    if dark.mean() < 0.02:
        dark = soft <= np.quantile(soft, 0.05)
    seen = float((dark * series.projector.hazes).sum())
    return tuple((float(one[dark].sum(dtype=float)) + 0.5) / seen for one in series.all)


def choose(
    series: Series, plan: Plan, ground: Sequence[float], rng: np.random.Generator, show: Progress
) -> tuple[tuple[Choice, ...], Bodies | None]:
    """Return the priors, the likeliest first, and the particles fitted to all counts (``None``: none stands out)."""
    count = len(series.counts)
    some, rest = _split(series, rng)
    level = tuple(one * (1 - _LEFT_OUT) for one in ground[:count]) + tuple(ground[count:])
    tried: list[Choice] = []
    bodies, full = None, None
    start = None if plan.prior == "variation" else particles(some, plan, level)
    if start is not None:
        show(2, 20, "fitting particles")
        bodies = Fit(some.all, some.projector, start).best(10)
        show(5, 20, "fitting particles")
        full = Fit(series.all, series.projector, _more(bodies, count)).best(5)
    scale = (48 / series.projector.width) ** 2
    asked = ("shells", "guided", "variation") if plan.prior == "auto" else (plan.prior,)
    weights = {"shells": (0.0,), "guided": GUIDED, "variation": WEIGHTS}
    for prior in asked if bodies is not None else ("variation",):
        show(7, 20, f"trying the prior: {prior}")
        tried += _judged(some, rest, level, [(prior, one * scale) for one in weights[prior]], bodies, plan)
    wider = 1 / np.sqrt(1 - _LEFT_OUT)
    tried = [replace(one, weight=one.weight * wider) for one in tried]
    return tuple(sorted(tried, key=lambda one: -one.likelihood)), full


def _split(series: Series, rng: np.random.Generator) -> tuple[Series, Volume]:
    """Return the series with four fifths of its counts, and the rest (C, V, Y, X): they are independent."""
    taken = rng.binomial(np.rint(series.counts).astype(np.int64), _LEFT_OUT).astype(np.float32)
    return replace(series, counts=series.counts - taken), taken


def _more(bodies: Bodies, elements: int) -> Bodies:
    """Return particles that were fitted to four fifths of the counts, for all of them; HAADF is what it was."""
    factor = np.ones(len(bodies.ground))
    factor[:elements] /= 1 - _LEFT_OUT
    return replace(bodies, core=bodies.core * factor, rim=bodies.rim * factor, ground=bodies.ground * factor)


def _judged(
    series: Series,
    rest: Volume,
    ground: Sequence[float],
    priors: Sequence[tuple[str, float]],
    bodies: Bodies | None,
    plan: Plan,
) -> list[Choice]:
    """Return priors with the log-likelihood of the counts left out, in all elements."""
    found = []
    for prior, weight in priors:
        one = Choice(prior, weight)
        volumes = _volumes(series, replace(plan, iterations=max(plan.iterations * 2 // 3, 10)), one, bodies, ground)
        likelihood = 0.0
        for own, volume, level in zip(rest, volumes, ground, strict=False):
            expected = (
                (series.projector.forward(volume) + level * series.projector.hazes).astype(float)
                * _LEFT_OUT
                / (1 - _LEFT_OUT)
            )
            likelihood += float((own * np.log(np.maximum(expected, 1e-9)) - expected).sum())
        found.append(replace(one, likelihood=likelihood))
    return found


def _volumes(
    series: Series,
    plan: Plan,
    choice: Choice,
    bodies: Bodies | None,
    ground: Sequence[float],
    start: Volume | None = None,
) -> Volume:
    """Return the volumes (C or C + 1, Z, Y, X) of a prior."""
    shape = (series.projector.depth, series.counts.shape[2], series.projector.width)
    model = None if choice.prior == "variation" or bodies is None else bodies.volume(shape)
    if choice.prior == "shells" and model is not None:
        return model
    settings = TotalVariation(choice.weight, plan.iterations, tuple(ground))
    return total_variation(series.all, series.projector, settings, Known(model=model, start=start))


def _sigma(
    series: Series,
    plan: Plan,
    choice: Choice,
    known: tuple[Volume, Bodies | None],
    ground: Sequence[float],
    rng: np.random.Generator,
) -> Volume:
    """Return the 1-sigma of every voxel: the spread over counts drawn anew from what is expected."""
    volumes, bodies = known
    count = len(series.counts)
    if plan.replicas < 2:
        return np.full_like(volumes, np.nan)
    expected = [
        series.projector.forward(one) + level * series.projector.hazes
        for one, level in zip(volumes, ground, strict=True)
    ]
    quick = replace(plan, iterations=max(plan.iterations // 3, 8))
    total, squares = np.zeros_like(volumes), np.zeros_like(volumes)
    for _ in range(plan.replicas):
        drawn = np.stack([rng.poisson(np.maximum(one, 0)) for one in expected]).astype(np.float32)
        again = replace(series, counts=drawn[:count], haadf=None if series.haadf is None else drawn[-1])
        refitted = None if bodies is None or choice.prior == "variation" else _refit(again, bodies)
        found = _volumes(again, quick, choice, refitted, ground, volumes if refitted is None else None)
        total += found
        squares += found**2
    mean = total / plan.replicas
    spread = np.maximum(squares / plan.replicas - mean**2, 0) * plan.replicas / (plan.replicas - 1)
    spread += (mean - volumes) ** 2
    if bodies is not None and choice.prior != "variation":
        spread += np.stack([_slope(one) for one in volumes]) * np.float32((EDGE_NM / plan.voxel_nm) ** 2)
    return np.asarray(np.sqrt(spread), np.float32)


def _slope(volume: Volume) -> Volume:
    """Return the square of the slope of a volume (Z, Y, X) per voxel."""
    return np.asarray(sum(one**2 for one in np.gradient(volume)), np.float32)


def _refit(series: Series, bodies: Bodies) -> Bodies:
    return Fit(series.all, series.projector, bodies).best(3)


def _refined(
    series: Series,
    plan: Plan,
    choice: Choice,
    rough: tuple[Volume, Volume, Bodies | None],
    ground: Sequence[float],
    show: Progress,
) -> tuple[Volume, Volume]:
    """Return volumes and 1-sigma on the grid of the pixels, beginning from those of the coarse grid."""
    made, sigma, bodies = rough
    projector = series.projector
    shape = (projector.depth, series.counts.shape[2], projector.width)
    number = max(1, -(-projector.width // COARSE))
    finer = [_spread(one, number, shape) for one in (made, sigma)]
    model = None if choice.prior == "variation" or bodies is None else bodies.volume(shape, number)
    if choice.prior == "shells" and model is not None:
        return model, finer[1]
    settings = TotalVariation(choice.weight / number**2, max(plan.iterations // 3, 8), tuple(ground))
    known = Known(model=model, start=finer[0] if model is None else None)

    def told(done: int, total: int) -> None:
        show(13 + 6 * done // total, 20, f"reconstructing at full resolution, step {done} of {total}")

    return total_variation(series.all, projector, settings, known, told), finer[1]


def _spread(volumes: Volume, number: int, shape: tuple[int, int, int]) -> Volume:
    """Return volumes on a finer grid, where a voxel holds so much less."""
    from scipy.ndimage import zoom

    found = np.zeros((len(volumes), *shape), np.float32)
    for one, into in zip(volumes, found, strict=True):
        fine = zoom(one, number, order=1, grid_mode=True, mode="nearest") / np.float32(number**3)
        parts = tuple(slice(0, min(size, most)) for size, most in zip(fine.shape, shape, strict=True))
        into[parts] = fine[parts]
    return found


def particles(series: Series, plan: Plan, ground: Sequence[float], most: int = 8) -> Bodies | None:
    """Return balls with cores where a rough reconstruction has something, ``None`` where nothing stands out."""
    from scipy.ndimage import center_of_mass, gaussian_filter, label

    views = np.maximum(series.all - np.asarray(ground, np.float32)[:, None, None, None] * series.projector.hazes, 0)
    volumes = np.stack([sirt(one, series.projector, 8) for one in views])
    soft = gaussian_filter(volumes[: len(series.counts)].sum(axis=0), 1.2)
    bright = soft > 0.3 * soft.max()
    plateau = float(np.median(soft[bright])) if bright.any() else 0.0
    parts, count = label(soft > 0.5 * plateau)
    volume = np.bincount(parts.ravel(), minlength=count + 1)
    volume[0] = 0
    kept = [one for one in np.argsort(volume)[::-1][:most] if volume[one] > max(0.1 * volume.max(), 60)]
    if not kept or plateau <= 0:
        return None
    bodies, core, rim = [], [], []
    for one in kept:
        inside = parts == one
        centre = tuple(float(each) for each in center_of_mass(soft * inside))
        radius = float(np.sqrt(inside.any(axis=0).sum() / np.pi)) * plan.voxel_nm  # along the beam it is smeared out
        body, own, around = begin(volumes, centre, radius, plan.voxel_nm, plan.degree)  # type: ignore[arg-type]
        bodies.append(body)
        core.append(own)
        rim.append(around)
    return Bodies(tuple(bodies), np.array(core), np.array(rim), np.array(ground, float), plan.voxel_nm)
