"""A network with score maps as an ONNX file, which runs without this package: for images of any size on its pixel."""

from __future__ import annotations

import logging
import math
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from micrograph.core import BadInput
from micrograph.core.provenance import whole
from micrograph.infer.backends import network
from micrograph.nets import Checkpoint, NetSpec
from micrograph.nets.grid import CONTRAST_NM, MEAN_NM, coarseness, local_contrast

#: Sides of images are at least so many pixels, so that every mirrored border lies within them.
LEAST = 96
#: Which set of operators of ONNX is written.
OPSET = 18
_MOST = 2**16


@dataclass(frozen=True)
class Sides:
    """What sides of images (pixels) a written network takes: `least`, and `step` more each time."""

    least: int
    step: int


class _Seen(nn.Module):
    """The network with the part of `normalise` that other programs do not have: local mean and contrast."""

    def __init__(self, net: nn.Module, pixel_nm: float | None) -> None:
        super().__init__()
        self.net = net
        self.pixel_nm = pixel_nm

    def forward(self, image: Tensor) -> Tensor:
        """Map an image (1, 1, H, W) of mean 0 and variance 1 to logits (1, K, H, W)."""
        if self.pixel_nm is not None:
            image = local_contrast(image[0, 0], self.pixel_nm, (LEAST, LEAST))[None, None]
        logits: Tensor = self.net(image)[0]
        return logits


def sides_of(spec: NetSpec) -> Sides:
    """Return which sides of images the written network of a specification takes."""
    steps = [spec.multiple]
    if spec.pixel_nm is not None:
        steps += [coarseness(length / spec.pixel_nm, (_MOST, _MOST)) for length in (MEAN_NM, CONTRAST_NM)]
    step = math.lcm(*steps)
    return Sides(-(-LEAST // step) * step, step)


def write_onnx(checkpoint: Checkpoint, path: Path) -> Sides:
    """Write the network of a checkpoint as `path` (.onnx): 'image' (1, 1, H, W) in, 'logits' (1, K, H, W) out.

    The image has the model's pixel, mean 0 and variance 1; a network without a pixel of its own wants it clipped to
    +-6. Raises `BadInput` for networks of other kinds, and where the package that writes ONNX is not installed.
    """
    spec = checkpoint.spec
    if not isinstance(spec, NetSpec) or spec.restores or spec.channels > 1:
        raise BadInput("Only networks that look at one image and answer with score maps can be exported so far.")
    try:
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise BadInput("Writing ONNX needs packages that are missing: pip install 'micrograph[onnx]'.") from error
    sides = sides_of(spec)
    height, width = (torch.export.Dim(name, min=sides.least // sides.step, max=_MOST // sides.step) for name in "hw")
    probe = torch.zeros(1, 1, sides.least, sides.least + sides.step)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings(), whole(path) as temporary:
        warnings.simplefilter("ignore")  # of names and versions; the answers are tested against the predictor's
        program = torch.onnx.export(
            _Seen(network(checkpoint), spec.pixel_nm).eval(),
            (probe,),
            dynamo=True,
            dynamic_shapes=({2: sides.step * height, 3: sides.step * width},),
            input_names=["image"],
            output_names=["logits"],
            opset_version=OPSET,
            custom_translation_table={torch.ops.aten.median.default: _median()},
            verbose=False,
        )
        cast(Any, program).save(str(temporary), external_data=False)
    return sides


def _median() -> Any:
    """Return how ONNX finds a median, for which it has no operator: the largest of the smaller half."""
    import onnxscript

    op: Any = onnxscript.opset18

    def median(values: Any) -> Any:
        flat = op.Reshape(values, op.Constant(value_ints=[-1]))
        half = op.Div(op.Add(op.Size(flat), op.Constant(value_int=1)), op.Constant(value_int=2))
        smaller, _ = op.TopK(flat, op.Reshape(half, op.Constant(value_ints=[1])), largest=0)
        return op.ReduceMax(smaller, keepdims=0)

    return median
