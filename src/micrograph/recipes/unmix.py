"""Endmembers and their maps: spectrum images and 4D-STEM scans as mixtures of a few.   doi:10.1002/sia.1657"""

from micrograph.core import Task
from micrograph.features.spectra.unmixed_tables import (
    LINES,
    MAPS,
    PLACES,
    SINGULAR,
    SPECTRA,
    SUMMARY,
    LineRows,
    UnmixedMaps,
)
from micrograph.infer.unmixing import Unmixer
from micrograph.io.scan_maps import Scale, write_maps
from micrograph.nets import NoNet
from micrograph.run import Recipe, Result
from micrograph.validate.spectra.unmix_checks import endmember_errors, endmember_likeness, right_numbers


def write_shares(result: Result) -> None:
    """Write the shares and counts of every endmember over the map as HDF5 and TIFF beside the tables."""
    maps = result.tables["maps"]
    if not len(maps):
        return
    shape = (maps["row"].nunique(), maps["column"].nunique())
    arrays = {name: maps[name].to_numpy(float).reshape(shape) for name in maps.columns[4:]}
    write_maps(result.folder, arrays, dict.fromkeys(arrays, Scale(result.recording.calibration.step_nm, "nm")))


RECIPE = Recipe(
    name="unmix",
    title="Endmembers of a spectrum image or 4D-STEM scan",
    task=Task(
        question="Of which few spectra, or patterns, are all those of a map made, how many are there, and how much of "
        "each is at each place?",
        needs=(),
        answers={
            "objects": PLACES,
            "frames": LINES,
            "maps": MAPS,
            "spectra": SPECTRA,
            "singular": SINGULAR,
            "summary": SUMMARY,
        },
        reference="doi:10.1002/sia.1657",
        takes=("spectra", "scan", "rows"),
    ),
    data=Unmixer(),
    model=NoNet(),
    objects=LineRows(),
    summary=UnmixedMaps(),
    checks=(
        endmember_likeness("new", at_least=0.98),
        endmember_likeness("new", at_least=0.9, contrast=True),
        right_numbers("new", at_least=0.95),
        endmember_errors("new", at_most=1.3),
        endmember_likeness("half dose", at_least=0.95),
        right_numbers("half dose", at_least=0.8),
        endmember_likeness("exspy", at_least=0.95),
        right_numbers("exspy", at_least=0.8),
    ),
    files=write_shares,
)
