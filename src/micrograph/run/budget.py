"""How many frames may be predicted at once within a memory budget."""

from __future__ import annotations

import math

from micrograph.core import BadInput, Recording
from micrograph.run.recipe import Recipe

#: What Python, the libraries and a loaded model take before the first frame.
BASE_BYTES = 700 * 2**20
#: Copies of a frame in its own grid that are alive at once: raw, float32, normalised, one map.
FRAME_COPIES = 4


def frame_bytes(recipe: Recipe, recording: Recording, predict: object) -> int:
    """Return about how many bytes one more frame in a batch takes.

    The model may say so itself (``predict.bytes_per_frame(shape, pixel_nm)``); otherwise the activations of a U-Net of
    the recipe's width are counted on the model's grid: three full-size layers, and as much again for all coarser ones.
    """
    height, width = recording.shape[-2], recording.shape[-1]
    own = getattr(predict, "bytes_per_frame", None)
    if own is not None:
        return int(own((height, width), recording.calibration.pixel_nm))
    spec = recipe.model
    pixel_nm = recording.calibration.pixel_nm
    finer = 1.0 if pixel_nm is None else pixel_nm / spec.grid_nm(pixel_nm)
    on_model_grid = height * width * finer**2
    return int(4 * (FRAME_COPIES * height * width + 6 * spec.base * on_model_grid))


def batch_within(memory_bytes: int | None, wanted: int, need: int) -> int:
    """Return how many frames, at most `wanted`, fit into `memory_bytes` if each needs `need` bytes.

    Raises `BadInput` if not even one does.
    """
    if wanted < 1:
        raise BadInput(f"The batch is {wanted}: it must be at least 1.")
    if memory_bytes is None:
        return wanted
    fitting = (memory_bytes - BASE_BYTES) // need
    if fitting < 1:
        enough = math.ceil((BASE_BYTES + need) / 2**20)
        raise BadInput(
            f"One frame needs about {enough} MB in all, the memory budget is {memory_bytes // 2**20} MB: "
            f"give --memory {math.ceil(enough / 100) * 100}MB or more, or analyse a smaller cut of the image."
        )
    return min(wanted, int(fitting))
