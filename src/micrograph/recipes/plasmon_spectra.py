"""Spectra from images and images from spectra, as of plasmons of nanoparticles.   doi:10.1002/smll.202100181"""

from micrograph.core import Task
from micrograph.features.spectra_tables import (
    ALIKE,
    COMPONENTS,
    PLACES,
    SEEN,
    SUMMARY,
    SpectraRows,
    SpectraSummary,
)
from micrograph.infer.spectra_from_images import IMAGES, SpectraFromImage
from micrograph.io.spectra_files import write_spectra
from micrograph.nets import NoNet
from micrograph.run import Recipe, Result


def keep_spectra(result: Result) -> None:
    """Write the spectra that the image tells, with their 1-sigma and those that were recorded, beside the tables."""
    seen = result.preview()
    if seen is None:
        return
    values = seen.values
    shape = (int(values["shape"][0]), int(values["shape"][1]), len(values["energy"]))
    arrays = {name: values[name].reshape(shape) for name in ("predicted", "sigma", "measured")}
    axis = seen.frame.calibration.signal_axis
    write_spectra(
        result.folder / "spectra.h5", arrays, values["energy"], "channel" if axis is None else axis.unit,
        seen.frame.calibration.step_nm,
    )  # fmt: skip


RECIPE = Recipe(
    name="plasmon-spectra",
    title="Spectra from images, images from spectra",
    task=Task(
        question="Which spectrum does each place of a map have, told from the image of its surroundings alone, and what "
        "surrounds it, told from its spectrum?",
        needs=(),
        answers={
            "objects": PLACES,
            "alike": ALIKE,
            "components": COMPONENTS,
            "frames": SEEN,
            "summary": SUMMARY,
        },
        reference="doi:10.1002/smll.202100181",
        takes=("spectra",),
    ),
    data=SpectraFromImage(),
    model=NoNet(),
    objects=SpectraRows(),
    summary=SpectraSummary(),
    files=keep_spectra,
    images=IMAGES,
)
