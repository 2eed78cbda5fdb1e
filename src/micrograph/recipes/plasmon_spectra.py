"""Spectra from images and images from spectra, as of plasmons of nanoparticles.   doi:10.1002/smll.202100181"""

from micrograph.core import Task
from micrograph.features.spectra.spectra_tables import (
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
from micrograph.simulate.signals.plasmon_assemblies import AssemblyRanges
from micrograph.validate.spectra.plasmon_checks import (
    PlasmonTrial,
    band_error,
    explained,
    map_explained,
    over_baselines,
    overlap,
    peak_error,
)

OWN = PlasmonTrial("assemblies unseen, SNR 20")
FAINT = PlasmonTrial("SNR 10, half the dose of the image", snr=10.0, image_snr=17.0)
#: Particles larger than any that the ranges and the library hold, and longer.
OTHER = PlasmonTrial("larger and longer particles", AssemblyRanges(radius_nm=(9.0, 11.0), longest=(1.6, 1.9)))
DIPOLES = PlasmonTrial(
    "many dipoles a particle", AssemblyRanges(kinds=(("pair", 0.6), ("one", 0.4))), number=20, across=6
)


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
        question="Which spectrum does each place of a map have, told by the image of its surroundings alone, and what "
        "surrounds it, told by its spectrum?",
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
    checks=(
        explained(OWN, at_least=0.9),
        peak_error(OWN, at_most_eV=0.02),
        over_baselines(OWN, at_most=0.8),
        band_error(OWN, at_most=0.1),
        overlap(OWN, at_least=0.7),
        explained(FAINT, at_least=0.75),
        peak_error(FAINT, at_most_eV=0.025),
        explained(OTHER, at_least=0.8),
        peak_error(OTHER, at_most_eV=0.025),
        explained(DIPOLES, at_least=0.8),
        peak_error(DIPOLES, at_most_eV=0.03),
        map_explained(at_least=0.9),
    ),
    files=keep_spectra,
    images=IMAGES,
)
