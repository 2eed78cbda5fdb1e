"""Sample images of the viewer's menu: the real one of the demo, and simulated particles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from micrograph.apps.napari.grid import LayerData, image_layer
from micrograph.apps.napari.readers import NOTHING
from micrograph.core import Calibration, Recording

#: Shapes of the simulated particles.
SHAPES = ("sphere", "rod", "cube", "triangle")


def real_image() -> Sequence[LayerData | tuple[None]]:
    """Return the real image of the demo, fetched once; where it cannot be had, say why and show nothing."""
    from napari.utils.notifications import show_error

    from micrograph.io import open_recording, sample_file

    sample = sample_file()
    if sample.path is None:
        show_error(f"{sample.note[:1].upper()}{sample.note[1:]}.")
        return NOTHING
    return [image_layer(open_recording(sample.path))]


def simulated_particles(**options: Any) -> Sequence[LayerData]:
    """Return one simulated image of particles, always the same."""
    return [image_layer(particles(**options))]


def particles(side_px: int = 512, seed: int = 3) -> Recording:
    """Return a simulated image (side_px, side_px) of bright particles of four shapes, 20 to 44 pixels wide."""
    import numpy as np

    from micrograph.simulate import ParticleSampler

    sampler = ParticleSampler(
        side_px=side_px,
        diameter_px=(20.0, 44.0),
        contrast_to_noise=(4.0, 4.001),
        covered=(0.2, 0.2001),
        pixel_nm=(0.5, 0.5001),
        shapes=SHAPES,
        kinds=SHAPES,
        gaps=("apart",),
        bright=1.0,
        liquid=0.0,
        empty=0.0,
    )
    sample = sampler(np.random.default_rng(seed))
    return Recording(
        read=lambda index: sample.image,
        indices=range(1),
        calibration=Calibration(pixel_nm=sample.pixel_nm),
        shape=sample.image.shape,
        name="simulated particles",
    )
