"""Where the columns of an image are, how bright, and how surely: joint maximum likelihood with the full information.

**Model.** The expected value of pixel p is ``lambda_p = b(p) + sum_k A_k h(p - r_k)``: a smooth background ``b``,
columns with integrated intensity ``A_k`` at ``r_k = (y_k, x_k)`` and one shape ``h`` of integral one (elliptical
Gaussian core and a wider round tail, `shape`), found from the image itself. Pixels scatter with variance
``V_p = gain * lambda_p + readout_variance``, found from the residuals (`noise`).

**Estimate.** The score ``sum_p (d_p - lambda_p) / V_p * d lambda_p / d theta`` of all positions, intensities and
background nodes is brought to zero by Fisher scoring. For electrons counted one by one (gain 1, readout 0) this is the
Poisson maximum likelihood; for any other gain and zero it is the quasi-likelihood, with the same efficiency. The steps
solve the normal equations of all columns jointly: neighbours overlap, and a column fitted alone is drawn to its
neighbours. Columns beyond the border, which nobody can give, are stood in for by a frame of dim ones.

**Errors.** The covariance of a column is its 3 x 3 block of the inverse information of all columns and the background
(`information`), that is, with everything else unknown: the Cramer-Rao bound of doi:10.1529/biophysj.103.035972, for
overlapping columns as in doi:10.1016/j.ultramic.2016.08.014 (StatSTEM). It is multiplied by the noise's correlation
factor. The shape counts as known: it is shared by all columns, and where there are many its error is far smaller. In a
dense lattice a wide tail looks like background: intensities are then those of the core, all too small by one factor.

**Speed.** Fine images are binned by a whole number to a core sigma of about 2 px: sums of counts are counts, and the
model is summed alike. Drawing and gradients go through one Fourier transform each (`shape`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from micrograph.core import BadInput
from micrograph.features.columns.background import splines
from micrograph.features.columns.fitting import Fitted, Given, Known, Limits, Measured, fitted, normalised
from micrograph.features.columns.noise import NoiseModel
from micrograph.features.columns.shape import Canvas, ColumnShape

Array = NDArray[np.float64]
Image = NDArray[np.float32]

#: A column is called measured from this many sigmas of its intensity on; below, its place is kept as given.
SIGNIFICANT = 3.0


@dataclass(frozen=True)
class RefineSettings:
    """How to refine. Lengths in pixels; ``None`` means: from the image.

    `background_px` is the distance of background nodes (``None``: seven times the usual distance of neighbours, 1 nm in
    graphene; infinity: a constant). `limit_px` is how far a column may move from its given place (``None``: 0.35 of the
    usual distance, two core sigmas at most). `shape` and `noise` are given if known (then kept). `tail` allows the
    shape a wide tail.
    """

    background_px: float | None = None
    limit_px: float | None = None
    shape: ColumnShape | None = None
    noise: NoiseModel | None = None
    tail: bool = True
    iterations: int = 10


@dataclass(frozen=True)
class Fit:
    """Refined columns, in the order given; lengths in px, intensities in the image's own units, NaN where unmeasured.

    ``covariance_px2`` (K, 2, 2) has axes [y, x], zero for fixed columns. ``amplitude`` (K,) is the integrated intensity
    (sum over pixels), ``background`` (K,) the value of a pixel under the column. ``ok`` (K,) is False where the place
    could not be measured (too weak, left its place, outside): then ``y_px, x_px`` are as given, the covariance is NaN
    and ``amplitude`` holds for the given place. ``chi2`` is the reduced chi-square (near 1 if the noise was measured
    and the model is right). ``model()`` draws the fitted image (H, W). ``pair_covariance(pairs)`` is the joint
    covariance (E, 6, 6) of intensity, y and x of both columns of pairs (E, 2) of rows that overlap, else NaN.
    """

    y_px: Array
    x_px: Array
    covariance_px2: Array
    amplitude: Array
    amplitude_sigma: Array
    background: Array
    ok: NDArray[np.bool_]
    shape: ColumnShape
    noise: NoiseModel
    chi2: float
    model: Callable[[], Image]
    pair_covariance: Callable[[NDArray[np.intp]], Array]

    def __len__(self) -> int:
        """Number of columns."""
        return len(self.y_px)

    def rows(self, which: NDArray[np.intp]) -> Fit:
        """Return the fit of some of the columns, given by their rows; the image and its model stay those of all."""
        names = ("y_px", "x_px", "covariance_px2", "amplitude", "amplitude_sigma", "background", "ok")
        return replace(
            self,
            **{name: getattr(self, name)[which] for name in names},
            pair_covariance=lambda pairs: self.pair_covariance(which[pairs]),
        )


def refine(
    image: NDArray[np.float32],
    y_px: ArrayLike,
    x_px: ArrayLike,
    settings: RefineSettings | None = None,
    *,
    fixed: NDArray[np.bool_] | None = None,
    prior_sigma_px: ArrayLike | None = None,
) -> Fit:
    """Return all columns of `image` (H, W) refined jointly, starting at ``y_px, x_px`` (K,).

    `image` holds raw detector values of unknown gain and offset; pixels that are not finite are left out. Where `fixed`
    (K,) is true the place is kept and only the intensity fitted. `prior_sigma_px` (a number or (K,)) is the 1-sigma of
    a Gaussian prior around the given places. Given places may be off by 0.7 core sigmas. Raises `BadInput` if the
    arrays' shapes do not fit; an image without contrast gives a `Fit` with nothing ok.
    """
    settings = settings or RefineSettings()
    start = _Start.checked(image, y_px, x_px, fixed, prior_sigma_px)
    measured = normalised(np.asarray(image, dtype=np.float32))
    if measured is None or not start.inside.any():
        return _nothing(start, image)
    inside = start.inside
    given = Given(start.place[inside], start.fixed[inside], start.precision[inside])
    limits = Limits(settings.background_px, settings.limit_px, settings.iterations, settings.tail)
    known = Known(settings.shape, settings.noise)
    try:
        with np.errstate(all="ignore"):
            return _in_units(fitted(measured, given, limits, known), start, measured)
    except (np.linalg.LinAlgError, FloatingPointError):
        return _nothing(start, image)


@dataclass(frozen=True)
class _Start:
    """Checked input: given ``place`` (K, 2), ``fixed`` (K,), prior ``precision`` (K,) 1 / px^2, ``inside`` (K,)."""

    place: Array
    fixed: NDArray[np.bool_]
    precision: Array
    inside: NDArray[np.bool_]

    @classmethod
    def checked(
        cls,
        image: NDArray[np.float32],
        y_px: ArrayLike,
        x_px: ArrayLike,
        fixed: NDArray[np.bool_] | None,
        prior_sigma_px: ArrayLike | None,
    ) -> _Start:
        """Raise `BadInput` unless all shapes fit."""
        y, x = np.asarray(y_px, dtype=np.float64), np.asarray(x_px, dtype=np.float64)
        if image.ndim != 2 or y.ndim != 1 or y.shape != x.shape:
            raise BadInput(
                f"refine got an image of shape {image.shape} and places of shapes {y.shape} and {x.shape}: "
                "give one grey image (H, W) and two lists of equal length."
            )
        place = np.column_stack([y, x])
        held = np.zeros(len(y), bool) if fixed is None else np.asarray(fixed, dtype=bool)
        sigma = np.broadcast_to(np.inf if prior_sigma_px is None else np.asarray(prior_sigma_px, float), y.shape)
        if held.shape != y.shape:
            raise BadInput(f"fixed has shape {held.shape}: it must have one value for each of the {len(y)} columns.")
        border = np.array(image.shape) - 0.5
        inside = np.isfinite(place).all(1) & (place > -0.5).all(1) & (place < border).all(1)
        return cls(place, held, 1 / np.maximum(sigma, 1e-6) ** 2, np.asarray(inside))


def _in_units(fit: Fitted, start: _Start, measured: Measured) -> Fit:
    """Return the fit of all given columns in the image's pixels and units."""
    scene, state, n, inside = fit.scene, fit.state, fit.scene.binning, start.inside
    covariance, bright = fit.covariance()
    position = covariance[:, 1:, 1:] * n**2
    held, given_intensity = fit.prior.held[: fit.columns], state.amplitude[: fit.columns]
    position[held] = 0.0
    variance = np.einsum("kii->ki", position)
    finite = np.isfinite(covariance).all((1, 2)) & np.isfinite(given_intensity)
    sure = (variance > 0).all(1) & (given_intensity > SIGNIFICANT * bright) & ~held
    ok = finite & (sure | start.fixed[inside])
    position[~ok] = np.nan
    place = start.place.copy()
    place[inside] = np.where(ok[:, None], state.place[: fit.columns] * n + (n - 1) / 2, place[inside])
    nodes = (state.nodes * measured.scale / n**2 + measured.offset).reshape(scene.background.number)
    noise, gain = fit.noise, fit.noise.gain * measured.scale
    readout = noise.readout_variance * measured.scale**2 / n**2 - gain * measured.offset
    surface = _Surface(nodes, scene.data.shape, n)
    amplitude, shape = state.amplitude * measured.scale, state.shape.scaled(n)
    return Fit(
        y_px=place[:, 0],
        x_px=place[:, 1],
        covariance_px2=_among(position, inside),
        amplitude=_among(amplitude[: fit.columns], inside),
        amplitude_sigma=_among(bright * measured.scale, inside),
        background=_among(surface.at(place[inside]), inside),
        ok=_among(ok, inside),
        shape=shape,
        noise=NoiseModel(gain, readout, noise.correlation),
        chi2=fit.chi2(),
        model=partial(_draw, measured.shape, shape, state.place * n + (n - 1) / 2, amplitude, surface),
        pair_covariance=partial(_pairs, fit, inside, np.array([measured.scale, n, n] * 2)),
    )


@dataclass(frozen=True)
class _Surface:
    """The background in the image's units: node values, shape of the binned grid, binning."""

    nodes: Array
    grid: tuple[int, int]
    binning: int

    def axis(self, position: Array, axis: int) -> Array:
        """Return the nodes' splines at positions (image pixels) along an axis."""
        return splines((position - (self.binning - 1) / 2) / self.binning, self.grid[axis], self.nodes.shape[axis])

    def at(self, place: Array) -> Array:
        """Return the background (K,) at places (K, 2)."""
        return np.asarray(np.einsum("ki,ki->k", self.axis(place[:, 0], 0) @ self.nodes, self.axis(place[:, 1], 1)))


def _pairs(fit: Fitted, inside: NDArray[np.bool_], units: Array, pairs: NDArray[np.intp]) -> Array:
    """Return the joint covariances of pairs (E, 2) of given columns, of which some lie `inside`."""
    number = np.cumsum(inside) - 1
    both = inside[pairs].all(axis=1)
    out = np.full((len(pairs), 6, 6), np.nan)
    out[both] = fit.pair_covariance(number[pairs[both]])
    return out * units[:, None] * units[None, :]


def _nowhere(pairs: NDArray[np.intp]) -> Array:
    return np.full((len(pairs), 6, 6), np.nan)


def _draw(shape: tuple[int, int], column: ColumnShape, place: Array, amplitude: Array, surface: _Surface) -> Image:
    """Return the fitted image (H, W)."""
    canvas = Canvas.fitting(shape, column)
    spectrum = canvas.spread(canvas.touch(place[:, 0], place[:, 1]), amplitude)
    along = [surface.axis(np.arange(n, dtype=np.float64), i) for i, n in enumerate(shape)]
    ground = along[0] @ surface.nodes @ along[1].T
    return canvas.draw(spectrum, canvas.transfer(column)) + ground.astype(np.float32)


def _among(values: NDArray[Any], inside: NDArray[np.bool_]) -> NDArray[Any]:
    """Return values (k, ...) of the columns inside at their places among all (K, ...); NaN or False elsewhere."""
    out = np.full((len(inside), *values.shape[1:]), False if values.dtype == np.bool_ else np.nan, dtype=values.dtype)
    out[inside] = values
    return out


def _nothing(start: _Start, image: NDArray[np.float32]) -> Fit:
    """Return the fit of an image that shows nothing, or of no columns: all unmeasured."""
    k = len(start.place)
    unknown = np.full(k, np.nan)
    finite = image[np.isfinite(image)]
    level = float(np.median(finite)) if finite.size else 0.0
    return Fit(
        y_px=start.place[:, 0],
        x_px=start.place[:, 1],
        covariance_px2=np.full((k, 2, 2), np.nan),
        amplitude=unknown,
        amplitude_sigma=unknown,
        background=unknown,
        ok=np.zeros(k, dtype=bool),
        shape=ColumnShape(1.0, 1.0),
        noise=NoiseModel(0.0, 0.0),
        chi2=float("nan"),
        model=partial(np.full, image.shape, level, np.float32),
        pair_covariance=_nowhere,
    )
