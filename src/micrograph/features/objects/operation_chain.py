"""A chain of image operations, as a value and as a text that people can read and change.

Each stage offers several methods with a few parameters. Lengths are in pixels of the binned image; the search draws
those that grow with the objects in typical diameters.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from micrograph.core import BadInput
from micrograph.features.objects import operations
from micrograph.features.objects.operations import Image, Labels, Parts


@dataclass(frozen=True)
class Parameter:
    """A number of a method: its range for the search, in typical diameters where `by_size`; the smallest allowed."""

    name: str
    low: float
    high: float
    by_size: bool = False
    least: float = 0.0


@dataclass(frozen=True)
class Method:
    """One way through a stage: a function of what flows and of its parameters by name."""

    run: Callable[..., Any]
    parameters: tuple[Parameter, ...] = ()


def _nothing(flow: Any) -> Any:
    return flow


_FACTOR = Parameter("factor", 0.6, 1.4, least=0.05)
#: Stages in the order in which they run, each with its methods by name.
STAGES: Mapping[str, Mapping[str, Method]] = {
    "scale": {"bin": Method(operations.bin_image, (Parameter("factor", 1, 1, least=1),))},
    "polarity": {"dark": Method(operations.dark), "bright": Method(operations.bright)},
    "background": {
        "none": Method(_nothing),
        "gaussian": Method(operations.gaussian_background, (Parameter("size", 0.7, 4, True, 2),)),
        "polynomial": Method(operations.polynomial_background, (Parameter("order", 1, 4),)),
        "opening": Method(operations.opening_background, (Parameter("size", 1.3, 4, True, 3),)),
    },
    "denoise": {
        "none": Method(_nothing),
        "gaussian": Method(operations.gaussian_blur, (Parameter("sigma", 0.7, 3),)),
        "median": Method(operations.median_blur, (Parameter("radius", 1, 3, least=1),)),
        "total_variation": Method(operations.total_variation, (Parameter("weight", 0.3, 4),)),
        "nonlocal_means": Method(operations.nonlocal_means, (Parameter("strength", 0.4, 1.2, least=0.05),)),
        "bilateral": Method(
            operations.bilateral, (Parameter("sigma", 1, 2.5, least=0.3), Parameter("strength", 2, 6, least=0.1))
        ),
    },
    "contrast": {
        "none": Method(_nothing),
        "equalise": Method(
            operations.equalise, (Parameter("size", 2, 6, True, 8), Parameter("clip", 0.002, 0.03, least=1e-4))
        ),
    },
    "threshold": {
        "otsu": Method(operations.otsu, (_FACTOR,)),
        "li": Method(operations.li, (_FACTOR,)),
        "triangle": Method(operations.triangle, (_FACTOR,)),
        "two_means": Method(operations.two_means, (_FACTOR,)),
        "local": Method(operations.local, (Parameter("size", 1, 4, True, 2), Parameter("offset", 0.1, 1))),
        "hysteresis": Method(operations.hysteresis, (Parameter("low", 0.5, 1), Parameter("high", 1, 1.6))),
    },
    "mask": {
        "smooth": Method(
            operations.smooth_mask,
            (Parameter("opening", 0.5, 4), Parameter("closing", 0.3, 3), Parameter("holes", 5, 500, least=0)),
        ),
    },
    "separation": {
        "none": Method(operations.connected),
        "distance": Method(operations.by_distance, (Parameter("smooth", 0.5, 2.5), Parameter("rise", 0.02, 0.35))),
        "grey": Method(operations.by_grey, (Parameter("smooth", 0.7, 3), Parameter("rise", 0.03, 0.3))),
        "blobs": Method(operations.by_blobs, (Parameter("sigma", 0.15, 0.4, True, 1),)),
        "erosion": Method(operations.by_erosion, (Parameter("depth", 0.3, 0.85),)),
    },
    "whole": {
        "join": Method(operations.join, (Parameter("solidity", 0.84, 0.92, least=0.5), Parameter("neck", 0.7, 0.85))),
    },
    "accept": {
        "objects": Method(
            operations.accept,
            (
                Parameter("least_px", 8, 120, least=1),
                Parameter("most", 2.5, 12, least=1),
                Parameter("solidity", 0.8, 0.92),
                Parameter("contrast", 0.25, 0.6),
                Parameter("leak", 0.03, 0.12),
            ),
        ),
    },
}
#: Stages whose results are worth keeping: those before the threshold.
_KEPT = 5


@dataclass(frozen=True)
class Step:
    """One stage of a chain: the method chosen and its parameters by name, in the method's own order."""

    stage: str
    method: str
    values: tuple[tuple[str, float], ...] = ()

    def __call__(self, flow: Any) -> Any:
        """Return what flows on."""
        return STAGES[self.stage][self.method].run(flow, **dict(self.values))


@dataclass(frozen=True)
class Chain:
    """One step for each stage, in the order of `STAGES`."""

    steps: tuple[Step, ...]

    def __call__(self, image: Image, kept: MutableMapping[object, Any] | None = None, name: object = None) -> Parts:
        """Return what is found in an image (H, W), on the binned grid.

        `kept` holds results of the first stages, by image `name` and steps, for chains that begin alike. A gap (NaN) in
        the image counts as its median; an image smaller than 8 pixels a side holds nothing.
        """
        flow: Any = _filled(image)
        if min(flow.shape) < 8 * round(dict(self.steps[0].values).get("factor", 1)) or np.ptp(flow) == 0:
            return Parts(flow, np.zeros(flow.shape, bool), np.zeros(flow.shape, np.int32))
        for number, step in enumerate(self.steps, start=1):
            key = (name, self.steps[:number])
            if kept is not None and number <= _KEPT:
                flow = kept[key] if key in kept else step(flow)
                kept[key] = flow
            else:
                flow = step(flow)
        assert isinstance(flow, Parts)
        return flow

    def labels(self, image: Image) -> Labels:
        """Return one label an object over the image's own pixels (H, W), 0 outside."""
        return unbinned(self(image).labels, image.shape)

    def step(self, stage: str) -> Step:
        """Return the step of that stage."""
        return self.steps[list(STAGES).index(stage)]

    def to_text(self) -> str:
        """Return the chain as TOML: a table a stage, with its method and parameters."""
        lines = ["# Image operations from top to bottom; lengths in pixels of the binned image."]
        for step in self.steps:
            lines += ["", f"[{step.stage}]", f'method = "{step.method}"']
            lines += [f"{name} = {value:.4g}" for name, value in step.values]
        return "\n".join(lines) + "\n"

    @classmethod
    def from_text(cls, text: str) -> Chain:
        """Return the chain that `to_text` wrote or someone changed; raises `BadInput` for what is no chain."""
        try:
            tables = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise BadInput(
                f"The chain of operations is no TOML ({error}): begin from a file that was saved."
            ) from error
        unknown, absent = set(tables) - set(STAGES), set(STAGES) - set(tables)
        if unknown or absent:
            raise BadInput(
                f"The chain has the stages {', '.join(tables) or 'none'}; it needs exactly {', '.join(STAGES)}."
            )
        return cls(tuple(_step(stage, tables[stage]) for stage in STAGES))


def unbinned(labels: Labels, shape: tuple[int, ...]) -> Labels:
    """Return labels (h, w) of a binned image over its own pixels: each pixel takes that of its block."""
    steps = [max(1, full // size) for full, size in zip(shape, labels.shape, strict=True)]
    places = [
        np.minimum(np.arange(full) // step, size - 1)
        for full, step, size in zip(shape, steps, labels.shape, strict=True)
    ]
    return np.asarray(labels[np.ix_(*places)])


def coverage_of(image: Image, labels: Labels, blur: float = 1.0, reach: float = 4.0) -> Image:
    """Return the coverage 0..1 (H, W) of labelled objects: near outlines, where the image lies between both levels.

    The levels inside and outside are means of the image (blurred by `blur` px) over `reach` px on either side, so that
    0.5 is the place of the edge to a fraction of a pixel and follows shading. Away from outlines it is 0 or 1.
    """
    from scipy import ndimage as ndi

    mask = labels > 0
    if not mask.any() or mask.all():
        return mask.astype(np.float32)
    grey = ndi.gaussian_filter(_filled(image), blur)
    depth = ndi.distance_transform_edt(mask) - ndi.distance_transform_edt(~mask)
    depth = np.where(mask, depth - 0.5, depth + 0.5)
    inner, outer = (_level(grey, (depth * sign > 1.5) & (depth * sign < 2 * reach), reach) for sign in (1, -1))
    step = inner - outer
    flat = np.clip(depth / 2 + 0.5, 0, 1)
    typical = float(np.median(np.abs(step[np.abs(depth) < 2])))
    level = np.where(np.abs(step) > 0.3 * typical, (grey - outer) / np.where(step == 0, 1, step), flat)
    blend = np.clip((reach - np.abs(depth)) / 2, 0, 1)
    covered = np.clip(blend * np.clip(level, 0, 1) + (1 - blend) * mask, 0, 1)
    return np.asarray(covered, dtype=np.float32)


def _level(grey: Image, where: NDArray[np.bool_], reach: float) -> NDArray[np.float32]:
    from scipy import ndimage as ndi

    weight = ndi.gaussian_filter(where.astype(np.float32), reach)
    total = ndi.gaussian_filter(np.where(where, grey, 0).astype(np.float32), reach)
    whole = float(grey[where].mean()) if where.any() else float(grey.mean())
    return np.asarray((total + 1e-4 * whole) / (weight + 1e-4), dtype=np.float32)


def _filled(image: NDArray[Any]) -> Image:
    image = np.asarray(image, dtype=np.float32)
    good = np.isfinite(image)
    if good.all():
        return image
    return np.where(good, image, np.median(image[good]) if good.any() else 0).astype(np.float32)


def _step(stage: str, table: Any) -> Step:
    methods = STAGES[stage]
    name = table.get("method") if isinstance(table, dict) else None
    if not isinstance(name, str) or name not in methods:
        raise BadInput(f"Stage {stage} has the method {name!r}: it is one of {', '.join(methods)}.")
    wanted = {parameter.name: parameter for parameter in methods[name].parameters}
    given = {key: value for key, value in table.items() if key != "method"}
    if set(given) != set(wanted):
        raise BadInput(
            f"Method {name} of stage {stage} has {', '.join(given) or 'no parameters'}: "
            f"it takes {', '.join(wanted) or 'none'}."
        )
    values = []
    for key, parameter in wanted.items():
        value = given[key]
        if isinstance(value, bool) or not isinstance(value, int | float) or not np.isfinite(value):
            raise BadInput(f"Parameter {key} of stage {stage} is {value!r}: it is a number.")
        if value < parameter.least:
            raise BadInput(f"Parameter {key} of stage {stage} is {value:g}: it is at least {parameter.least:g}.")
        values.append((key, float(value)))
    return Step(stage, name, tuple(values))
