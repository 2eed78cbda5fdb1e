"""One image on one grid, its model, and the steps that make the model likelier."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from micrograph.features.columns.background import Background
from micrograph.features.columns.information import background_coupling, fisher
from micrograph.features.columns.noise import NoiseModel
from micrograph.features.columns.normal import Normal
from micrograph.features.columns.shape import Canvas, ColumnShape, Touch

Array = NDArray[np.float64]
Image = NDArray[np.float32]

#: Columns farther apart than so many core sigmas do not share information.
REACH = 5.3
#: Usual ratio of the tail's sigma to the core's, about which the fitted one has a wide prior.
USUAL_TAIL = 2.2


@dataclass(frozen=True)
class State:
    """Parameters in grid pixels: ``place`` (K, 2), ``amplitude`` (K,), background ``nodes`` (N,), shape, noise line."""

    place: Array
    amplitude: Array
    nodes: Array
    shape: ColumnShape
    noise: NoiseModel | None = None


@dataclass(frozen=True)
class Drawn:
    """A state's image: touch points, spectrum, transfer, columns alone and with background, residual, pixel weights."""

    touch: Touch
    spectrum: NDArray[np.complex64]
    columns: Image
    expected: Image
    residual: Image
    weight: Image


@dataclass(frozen=True)
class Prior:
    """What is known of columns: ``centre`` (K, 2) with ``precision`` (K,) in 1 / px^2, ``held`` (K,) exactly there.

    ``dimness`` (K,) is the precision with which an intensity is expected to be zero, ``roughness`` (N, N) that of the
    background nodes with which they are expected to be alike.
    """

    centre: Array
    precision: Array
    held: NDArray[np.bool_]
    dimness: Array
    roughness: Array


class Scene:
    """Data (H, W) on a grid whose pixels are sums of `binning`^2 samples; ``valid`` marks the pixels that count."""

    def __init__(
        self, data: Image, valid: NDArray[np.bool_] | None, binning: int, shape: ColumnShape, spacing: float
    ) -> None:
        self.data, self.valid, self.binning = data, valid, binning
        self.canvas = Canvas.fitting(data.shape, shape, binning)
        self.background = Background(data.shape, spacing)
        self.pixels = data.size if valid is None else int(valid.sum())

    def draw(self, state: State) -> Drawn:
        """Return the image of a state."""
        touch = self.canvas.touch(state.place[:, 0], state.place[:, 1])
        spectrum = self.canvas.spread(touch, state.amplitude)
        columns = self.canvas.draw(spectrum, self.canvas.transfer(state.shape))
        expected = columns + self.background.draw(state.nodes)
        residual = self.data - expected
        if self.valid is not None:
            residual *= self.valid
        return Drawn(touch, spectrum, columns, expected, residual, self.weight(expected, state.noise))

    def weight(self, expected: Image, noise: NoiseModel | None) -> Image:
        """Return inverse variances (H, W), zero where a pixel does not count; ones while the noise is unknown."""
        if noise is None:
            weight = np.ones_like(expected)
        else:
            typical = noise.gain * float(expected.mean(dtype=np.float64)) + noise.readout_variance
            weight = np.reciprocal(noise.variance(expected, 0.02 * abs(typical) + 1e-30))
        return weight if self.valid is None else weight * self.valid

    def normal(self, state: State, drawn: Drawn, prior: Prior, damping: float = 0.0) -> Normal:
        """Return the normal equations of all columns and the background at a state, diagonals up by ``1 + damping``."""
        transfer = self.canvas.transfer(state.shape)
        broad = (self.binning**2 - 1) / (12 * self.binning**2)
        seen = replace(state.shape, core_yy=state.shape.core_yy + broad, core_xx=state.shape.core_xx + broad)
        reach = REACH * float(np.sqrt(np.linalg.eigvalsh(state.shape.core)[-1]))
        information = fisher(drawn.weight, seen, state.amplitude, state.place, reach).held(prior.held, prior.precision)
        information.own[:, 0, 0] += prior.dimness
        information = information.damped(damping)
        touching = self._gradient(drawn.weight, transfer, drawn.touch, state.amplitude)
        touching[prior.held, 1:] = 0
        core = background_coupling(drawn.weight, seen, state.amplitude, state.place)
        core[prior.held, 1:] = 0
        core[:, :, 0, 0] = touching
        coupling, hats = self.background.coupled(state.place, core)
        gram = self.background.gram(drawn.weight) + prior.roughness
        gram[np.diag_indices_from(gram)] *= 1 + damping
        return Normal(information, coupling, touching, hats, gram)

    def _gradient(self, image: Image, transfer: Image, touch: Touch, amplitude: Array) -> Array:
        felt = self.canvas.read(self.canvas.feel(image, transfer), touch)
        felt[:, 1:] *= amplitude[:, None]
        return felt

    def step(self, state: State, drawn: Drawn, prior: Prior, normal: Normal) -> tuple[Array, Array]:
        """Return the Fisher-scoring step of the columns (K, 3) and of the background nodes (N,)."""
        weighted = drawn.weight * drawn.residual
        gradient = self._gradient(weighted, self.canvas.transfer(state.shape), drawn.touch, state.amplitude)
        gradient[:, 1:] -= prior.precision[:, None] * (state.place - prior.centre)
        gradient[:, 0] -= prior.dimness * state.amplitude
        gradient[prior.held, 1:] = 0
        return normal.solve(gradient, self.background.feel(weighted) - prior.roughness @ state.nodes)

    def misfit(self, state: State, drawn: Drawn, weight: Image, prior: Prior) -> float:
        """Return the chi-square of a state under given pixel weights, prior included."""
        away = ((state.place - prior.centre) ** 2).sum(1) @ prior.precision
        dim = prior.dimness @ state.amplitude**2 + state.nodes @ prior.roughness @ state.nodes
        return float(np.vdot(drawn.residual * weight, drawn.residual)) + float(away) + float(dim)

    def shape_step(self, state: State, drawn: Drawn, tail: bool) -> Callable[[float], State]:
        """Return the state at a fraction of a step to a likelier shape, as a function.

        Gauss-Newton on the shape together with a common factor of all intensities and a common shift of the background.
        """
        slopes = self._shape_slopes(state, drawn, tail)
        root = np.sqrt(drawn.weight)
        rows = np.stack([drawn.columns, np.ones_like(root), *slopes]).reshape(len(slopes) + 2, -1)
        rows *= root.reshape(1, -1)
        gram = (rows @ rows.T).astype(np.float64)
        gradient = (rows @ (root * drawn.residual).ravel()).astype(np.float64)
        if tail:
            core, wide = state.shape.sigma_px, state.shape.tail_sigma
            gram[5, 5] += 1 / 0.2**2
            gradient[5] -= state.shape.tail_weight / 0.2**2
            gram[6, 6] += 1 / (0.3 * core) ** 2
            gradient[6] += (USUAL_TAIL * core - wide) / (0.3 * core) ** 2
        step = _bounded_step(state.shape, gram, gradient)

        def moved(length: float) -> State:
            amplitude, nodes = state.amplitude * (1 + length * step[0]), state.nodes + length * step[1]
            return replace(state, amplitude=amplitude, nodes=nodes, shape=_moved(state.shape, length * step[2:]))

        return moved

    def _shape_slopes(self, state: State, drawn: Drawn, tail: bool) -> list[Image]:
        """Return images of the derivatives with respect to core_yy, core_xx, core_xy (and tail weight, tail sigma)."""
        canvas, shape = self.canvas, state.shape
        ky, kx = canvas.frequencies
        core = canvas.gaussian(shape.core_yy, shape.core_xx, shape.core_xy)
        half = drawn.spectrum * (core * np.float32(-0.5 * (1 - shape.tail_weight)))
        one = np.float32(1)
        images = [canvas.draw(half, factor) for factor in (ky**2 * one, kx**2 * one, 2 * ky * kx)]
        if tail:
            wide = canvas.gaussian(shape.tail_sigma**2, shape.tail_sigma**2)
            images.append(canvas.draw(drawn.spectrum, wide - core))
            slope = np.float32(-max(shape.tail_weight, 0.02) * shape.tail_sigma) * (ky**2 + kx**2) * wide
            images.append(canvas.draw(drawn.spectrum, slope))
        return images


def _solved(gram: Array, gradient: Array) -> tuple[Array, Array]:
    """Return the solution of normal equations, scaled and slightly damped, and its 1-sigmas."""
    scale = 1 / np.sqrt(np.maximum(np.diag(gram), 1e-30))
    inverse = np.linalg.inv(gram * scale[:, None] * scale + 1e-5 * np.eye(len(gram)))
    return inverse @ (gradient * scale) * scale, np.sqrt(np.diag(inverse)) * scale


def _bounded_step(shape: ColumnShape, gram: Array, gradient: Array) -> Array:
    """Return the step (scale, ground, yy, xx, xy[, tail weight, tail sigma]); a tail that is not significant goes."""
    if len(gradient) == 5:
        step = _solved(gram, gradient)[0]
    else:
        step, error = _solved(gram[:6, :6], gradient[:6])
        if shape.tail_weight + step[5] < 3 * error[5]:
            rest = gradient[:5] + gram[:5, 5] * shape.tail_weight
            step = np.append(_solved(gram[:5, :5], rest)[0], [-shape.tail_weight, 0.0])
        else:
            step = _solved(gram, gradient)[0] if shape.tail_weight > 0 else np.append(step, 0.0)
    square = shape.sigma_px**2
    largest = np.abs(step[2:5]).max() / (0.4 * square)
    if len(step) == 7:
        largest = max(largest, abs(step[5]) / 0.2, abs(step[6]) / (0.4 * shape.tail_sigma))
    return np.asarray(step / max(largest, 1.0))


def _moved(shape: ColumnShape, step: Array) -> ColumnShape:
    """Return the shape after a step, kept sensible: positive variances, a tail that is wider than the core."""
    square = shape.sigma_px**2
    yy, xx = max(shape.core_yy + step[0], 0.2 * square), max(shape.core_xx + step[1], 0.2 * square)
    mean = np.sqrt(yy * xx)
    yy, xx = (float(np.clip(each, 0.4 * mean, 2.5 * mean)) for each in (yy, xx))
    xy = float(np.clip(shape.core_xy + step[2], -0.6 * mean, 0.6 * mean))
    moved = ColumnShape(yy, xx, xy)
    if len(step) == 3 or shape.tail_weight + step[3] < 1e-4:
        return moved
    sigma = float(np.clip(shape.tail_sigma + step[4], 1.5 * moved.sigma_px, 3.5 * moved.sigma_px))
    return replace(moved, tail_weight=float(min(shape.tail_weight + step[3], 0.5)), tail_sigma=sigma)
