"""Bright and dark field, centre of mass and mean patterns of a 4D-STEM scan.   doi:10.1017/S1431927619000497"""

import numpy as np

from micrograph.core import Task
from micrograph.features.diffraction.virtual_tables import LINES, MAPS, MEANS, PLACES, SUMMARY, PlaceRows, ScanMaps
from micrograph.infer.scans import VirtualDetectors
from micrograph.io.scan_maps import Scale, write_maps
from micrograph.nets import NoNet
from micrograph.run import Recipe, Result
from micrograph.validate.diffraction.scan_checks import disc_error, mass_error, potential_likeness, share_error


def write_scan(result: Result) -> None:
    """Write the maps and mean patterns of a finished run as HDF5 and TIFF beside its tables."""
    maps, patterns, facts = result.tables["maps"], result.tables["patterns"], result.summary
    if not len(maps):
        return
    shape = (maps["row"].nunique(), maps["column"].nunique())
    arrays = {name: maps[name].to_numpy(float).reshape(shape) for name in maps.columns[4:]}
    scales = dict.fromkeys(arrays, Scale(result.recording.calibration.step_nm, "nm"))
    pitch = float(facts["mrad_per_px"].iloc[0])
    for region, rows in patterns.groupby("region", sort=False):
        name = "pattern" if region == "all" else f"pattern_{region}"
        arrays[name] = rows["counts"].to_numpy(float).reshape(int(rows["y_px"].max()) + 1, -1)
        scales[name] = Scale(pitch if np.isfinite(pitch) else None, "mrad")
    write_maps(result.folder, arrays, scales)


RECIPE = Recipe(
    name="virtual-detectors",
    title="Virtual detectors of a 4D-STEM scan",
    task=Task(
        question="What would a bright-field, a dark-field and a segmented detector have seen, and which way does the "
        "specimen bend the beam, at each place of a 4D-STEM scan?",
        needs=(),
        answers={
            "objects": PLACES,
            "frames": LINES,
            "maps": MAPS,
            "patterns": MEANS,
            "summary": SUMMARY,
        },
        reference="doi:10.1017/S1431927619000497",
        takes=("scan", "rows"),
    ),
    data=VirtualDetectors(),
    model=NoNet(),
    objects=PlaceRows(),
    summary=ScanMaps(),
    checks=(
        disc_error(at_most=0.5),
        share_error(at_most=1.2),
        mass_error(at_most=1.2),
        potential_likeness(at_least=0.95),
    ),
    files=write_scan,
)
