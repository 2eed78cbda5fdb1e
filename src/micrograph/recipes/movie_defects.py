"""Defects of a crystal's movie, learned from its first frame alone (STEM).   doi:10.1038/s41524-019-0152-9"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from micrograph.core import BadInput, Column, Flag, Prediction, Recording, Task
from micrograph.features.columns.peaks import find_peaks
from micrograph.features.columns.points import POINTS
from micrograph.features.lattices.odd_sites import odd_sites
from micrograph.features.layers.crops import cut, levelled
from micrograph.features.summary import SUMMARY
from micrograph.nets import Head, NetSpec
from micrograph.run import Recipe
from micrograph.track import COUNTS, DIFFUSION, DRIFT, EVENTS, MOTION, RATES, STATES, LinkSettings
from micrograph.track.kinds import AVERAGES, CLASSES
from micrograph.track.unnamed import Unnamed
from micrograph.train.labelled import LabelledFrame
from micrograph.validate.layers.movie_checks import Late, beam_damage, late_defects
from micrograph.validate.motion_checks import (
    Detector,
    Walks,
    diffusion_error,
    drift_residual,
    resting_points,
    walking_points,
)

#: The network sees so many pixels per lattice constant; a defect reaches so far and is marked so wide, likewise.
PIXELS_A_CELL, REACH, MARK = 10.5, 0.6, 0.13
#: Fewest defects of the first frame from which there is something to learn.
LEAST_DEFECTS = 5
#: Fewest sites of a lattice.
LEAST_SITES = 60
#: Simulated movies whose focus, dose and cleanness change while every fifth column loses an atom.
LATE = Late(beam_damage)
#: How well points are seen whose drift is judged, and the walks whose diffusion is.
SEEN = Detector(0.006, missed=0.15, false=0.1)
WALKS = Walks(walking_points, Detector(0.03, missed=0.05), link=LinkSettings(reach_nm=0.5))


@dataclass(frozen=True)
class FirstFrame:
    """Labels by lattice subtraction in the first frame of a recording; training fields with its defects moved about."""

    steps: int = 600

    def samples_of(self, recording: Recording, spec: NetSpec) -> tuple[LabelledFrame, NetSpec]:
        """Return the sampler and the network for this lattice; `BadInput` without a lattice or without defects."""
        frame = recording.frame(0)
        pixel = frame.calibration.pixel_nm
        assert pixel is not None
        seen = odd_sites(frame.data)
        if seen is None or len(seen.y_px) < LEAST_SITES:
            raise BadInput(
                f"The first frame of '{recording.name}' shows no crystal lattice to subtract: start with --frames at "
                "one that does, or give the weights of a model that was learned before with --weights."
            )
        if seen.odd.sum() < LEAST_DEFECTS:
            raise BadInput(
                f"The first frame of '{recording.name}' holds {seen.odd.sum()} defects, too few to learn from "
                f"({LEAST_DEFECTS}): start with --frames at a later one, or give --weights of an earlier model."
            )
        a_px = seen.parts.a_px
        sampler = LabelledFrame(
            image=frame.data,
            periodic=seen.parts.periodic,
            variance=seen.noise.variance(seen.parts.periodic),
            pixel_nm=pixel,
            y_px=seen.y_px,
            x_px=seen.x_px,
            site=seen.site,
            odd=seen.odd,
            brightness=seen.brightness,
            radius_px=REACH * a_px,
            field_px=round(10 * a_px),
        )
        model_nm = a_px * pixel / PIXELS_A_CELL
        return sampler, replace(spec, pixel_nm=model_nm, spot_nm=MARK * a_px * pixel)


@dataclass(frozen=True)
class Defects:
    """Defects of one frame: peaks of the learned map, at least `min_distance_nm` apart, and crops around them."""

    threshold: float = 0.8
    min_distance_nm: float = 0.1
    border_nm: float = 0.1

    def __call__(self, prediction: Prediction) -> Mapping[str, pd.DataFrame]:
        """Return the tables 'objects' and 'frames' of one frame, and '_crops' for the kinds."""
        frame, pixel = prediction.frame, prediction.frame.calibration.pixel_nm
        assert pixel is not None
        peaks = find_peaks(prediction.maps["defect"], self.threshold, self.min_distance_nm / prediction.pixel_nm)
        (step_y, step_x), (height, width) = prediction.steps, frame.data.shape
        y, x = ((peaks.y + 0.5) * step_y - 0.5) * pixel, ((peaks.x + 0.5) * step_x - 0.5) * pixel
        sigma = prediction.position_sigma_nm.get("defect", prediction.pixel_nm / 2)
        near = np.minimum.reduce([y, x, (height - 1) * pixel - y, (width - 1) * pixel - x], initial=np.inf)
        objects = pd.DataFrame(
            {
                "frame": np.full(len(peaks), frame.index, dtype=np.int64),
                "y_nm": y,
                "x_nm": x,
                "y_sigma_nm": np.full(len(peaks), sigma),
                "x_sigma_nm": np.full(len(peaks), sigma),
                "class": pd.Series(["defect"] * len(peaks), dtype=str),
                "score": peaks.score,
                "flags": np.where(near < self.border_nm, int(Flag.EDGE), 0).astype(np.int64),
            }
        )
        area = (height * pixel - 2 * self.border_nm) * (width * pixel - 2 * self.border_nm)
        frames = pd.DataFrame({"frame": [frame.index], "defects": [len(peaks)], "area_nm2": [max(area, 0.0)]})
        crops = cut(levelled(frame.data), pixel, y, x, FOLD.disc)
        rows = pd.DataFrame({"frame": np.full(len(crops), frame.index, np.int64), "row": crops.source})
        return {"objects": objects, "frames": frames, "_crops": rows.assign(values=list(crops.values))}


FOLD = Unnamed()
RECIPE = Recipe(
    name="movie-defects",
    title="Defects of a movie, learned from its first frame",
    task=Task(
        question="Where are the defects of every frame, of which kinds, and how do they move, change and multiply?",
        needs=("pixel_nm",),
        answers={
            "objects": tuple(column for column in POINTS if not column.name.startswith("intensity")),
            "frames": (
                Column("defects", "", "defects found"),
                Column("area_nm2", "nm^2", "analysed area"),
                Column("domain_distance", "", "distance from the training fields; above 1 the frame is out of domain"),
            ),
            "drift": DRIFT,
            "events": EVENTS,
            "counts": COUNTS,
            "motion": MOTION,
            "diffusion": DIFFUSION,
            "rates": RATES,
            "states": STATES,
            "classes": CLASSES,
            "averages": AVERAGES,
            "summary": SUMMARY,
        },
        reference="doi:10.1038/s41524-019-0152-9",
    ),
    data=FirstFrame(),
    model=NetSpec(heads=(Head("defect", "spots", labels=("defect",)),)),
    objects=Defects(),
    summary=FOLD,
    checks=(late_defects(LATE), drift_residual(resting_points, SEEN), diffusion_error(WALKS)),
)
