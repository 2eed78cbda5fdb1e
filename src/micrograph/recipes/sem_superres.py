"""Electron-microscope images on half the pixel, and what of them was measured.   doi:10.1038/s41598-019-48444-2"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from micrograph.core import Sample, Sites, Task
from micrograph.features.restoring.finer_tables import FINER_FRAMES, GAPS, SUMMARY, FinerGaps, FinerSummary
from micrograph.features.restoring.super_resolution import FINER, finer
from micrograph.infer.super_resolution import IMAGE, FinerLook
from micrograph.nets import Head, NetSpec, whitened
from micrograph.run import Recipe
from micrograph.simulate.secondary.gold_films import GoldFilms, SpinodalFilms
from micrograph.train import TrainSettings
from micrograph.validate.restoring.superres_checks import (
    FilmTrial,
    chi_square,
    excess_power,
    false_gaps,
    foreign_told,
    frequency_gain,
    missed_gaps,
    over_variation,
    seconds_a_frame,
    sigma_coverage,
    width_error,
)


@dataclass(frozen=True)
class FilmSamples:
    """What a network learns from: a coarse image on finer pixels, and what the finer image would be without noise."""

    films: GoldFilms = field(default_factory=GoldFilms)

    def __call__(self, rng: np.random.Generator) -> Sample:
        """Return the image (2 H, 2 W) that a network sees, with the true one as mask."""
        film = self.films(rng)
        _, offset, scale = whitened(film.coarse)
        none = Sites(np.zeros(0), np.zeros(0), np.zeros(0, np.str_))
        params = {"probe_px": film.probe_px, "electrons": film.electrons}
        seen = finer((film.coarse - np.float32(offset)) / np.float32(scale))
        truth = np.asarray((film.truth - offset) / scale, np.float32)
        return Sample(seen, 1.0 / FINER, none, {IMAGE: truth}, params)

    def domain(self) -> dict[str, tuple[float, float]]:
        """Return the ranges that a card shows."""
        names = ("radius_px", "gap_px", "probe_px", "electrons")
        return {name: getattr(self.films, name) for name in names}


#: What is judged. Wider beams are learned too: then a finer image holds nothing finer, which is to be known as well.
FILMS = GoldFilms()
LEARNED = replace(FILMS, side=96, probe_px=(1.2, 4.0), electrons=(45.0, 800.0))
MODEL = NetSpec(
    heads=(Head(IMAGE, "image"),),
    base=16,
    levels=3,
    fold=FINER,
    pixel_nm=None,
    patch=96,
    weights="superres-1",
    knows_its_own=True,
)

OWN = FilmTrial("gold on carbon", FILMS, 28)
HARDER = FilmTrial("half the dose, wider beam", replace(FILMS, electrons=(30.0, 60.0), probe_px=(2.4, 3.0)), 10)
OTHER = FilmTrial("other films and electrons", SpinodalFilms(FILMS), 10)

RECIPE = Recipe(
    name="sem-superres",
    title="Finer images of gold films",
    task=Task(
        question="What would an image of half the pixel show, which gaps between islands are there, and which of them "
        "do the recorded counts speak for?",
        needs=(),
        answers={"objects": GAPS, "frames": FINER_FRAMES, "summary": SUMMARY},
        reference="doi:10.1038/s41598-019-48444-2",
    ),
    data=FilmSamples(LEARNED),
    model=MODEL,
    objects=FinerGaps(),
    summary=FinerSummary(),
    view=FinerLook(),
    images=(IMAGE,),
    checks=(
        missed_gaps(OWN, at_most=0.04),
        false_gaps(OWN, at_most=0.01),
        width_error(OWN, at_most=0.5),
        frequency_gain(OWN, at_least=1.5),
        excess_power(OWN, at_most=1.0),
        over_variation(OWN, at_least=0.0),
        chi_square(OWN, at_most=1.1),
        sigma_coverage(OWN, off_by=0.06),
        missed_gaps(HARDER, at_most=0.10),
        false_gaps(HARDER, at_most=0.03),
        width_error(HARDER, at_most=0.8),
        frequency_gain(HARDER, at_least=1.3),
        excess_power(HARDER, at_most=1.0),
        missed_gaps(OTHER, at_most=0.10),
        false_gaps(OTHER, at_most=0.03),
        width_error(OTHER, at_most=0.8),
        frequency_gain(OTHER, at_least=1.3),
        excess_power(OTHER, at_most=1.0),
        foreign_told(OWN, at_least=0.95),
        seconds_a_frame(at_most_s=1.0),
    ),
    training=TrainSettings(steps=1800, batch=8, reuse=6, learning_rate=4e-3, calibration_samples=150),
)
