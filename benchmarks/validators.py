"""What the validators of other communities say of the files that are written for them.

Programs of their own (``pip install pynxtools punx bioimageio.core onnxruntime roc-validator "rocrate<0.14"``),
best in an environment of their own: MICROGRAPH_VALIDATORS names the folders in which they are, as PATH does.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import micrograph
from benchmarks.measured import Measured
from micrograph.apps.jobs import analyze_paths
from micrograph.apps.making import Material, model_card, simulate
from micrograph.apps.requests import Request
from micrograph.core import BadInput, Calibration, Recording
from micrograph.recipes import RECIPES, find_recipe
from micrograph.share import About, Probe, Specimen, write_crate, write_nexus

#: Puts the context of RO-Crate into the cache of its validator; run by the validator's own Python.
_CONTEXT = Path(__file__).with_name("crate_context.py")
ME = About("Vacancies", "A. Person", "https://orcid.org/0000-0002-1825-0097", "https://spdx.org/licenses/CC-BY-4.0")
FLAKE = Specimen("flake 3", ("W", "S"), "2026-05-01T10:00+02:00", "2026-05-03T10:00+02:00", simulated=True)
WAFER = Specimen("wafer 1", ("Si",), "2026-05-01T10:00+02:00", "2026-05-03T10:00+02:00", simulated=True)
PROBES = {
    "nxspm": Probe("STM"),
    "nxstm": Probe("STM", "constant current"),
    "nxafm": Probe("AFM", "tapping mode"),
}


def validators(quick: bool) -> list[Measured]:
    """Return one row a file and validator: 1: passes, 0: does not; without a bound: not installed."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        results = _results(folder)
        return [*_nexus(results, _scanned(folder), folder), *_crate(results, folder), *_models(folder, quick)]


def _results(folder: Path) -> Path:
    """Return the results of one simulated image, with the network's maps."""
    simulate("tmd-defects", Material(), 1, folder / "images")
    scale = {"voltage_kV": "80 kV", "convergence_mrad": "30 mrad"}
    asked = Request("tmd-defects", scale, maps=True)
    (path,) = (folder / "images").glob("*.tif")
    for _ in analyze_paths([path], asked, folder / "results"):
        pass
    return folder / "results"


def _scanned(folder: Path) -> Path:
    """Return the results of one simulated scan of a scanning probe."""
    data: Any = find_recipe("surface-lattice").data
    sample = data(np.random.default_rng(0))
    scale = Calibration(pixel_nm=sample.pixel_nm, value_unit="nm")
    scan = Recording(lambda index: sample.image, range(1), scale, sample.image.shape, name="surface")
    micrograph.analyze("surface-lattice", scan, out=folder / "scanned")
    return folder / "scanned"


def _nexus(results: Path, scanned: Path, folder: Path) -> Iterator[Measured]:
    write_nexus(results, folder / "whole.nxs", ME, FLAKE)
    write_nexus(results, folder / "plain.nxs")
    yield _told("nexus_nxem", "pynx", ["validate", str(folder / "whole.nxs")], "is valid according to")
    for name, probe in PROBES.items():
        write_nexus(scanned, folder / f"{name}.nxs", ME, WAFER, probe)
        yield _told(f"nexus_{name}", "pynx", ["validate", str(folder / f"{name}.nxs")], "is valid according to")
    yield _told("nexus_base", "punx", ["validate", "--report", "ERROR", str(folder / "plain.nxs")], "ERROR 0 ")


def _crate(results: Path, folder: Path) -> Iterator[Measured]:
    """Its validator reads the context of RO-Crate from the web; ro-crate-py beside it has that file too."""
    write_crate(results, ME)
    asked = ["validate", "--profile-identifier", "process-run-crate", "--no-paging", str(results)]
    python = _program("python", beside="rocrate-validator")
    if python is not None and not subprocess.run([python, str(_CONTEXT), str(folder / "web")], check=False).returncode:
        asked[1:1] = ["--offline", "--cache-path", str(folder / "web")]
    yield _told("ro_crate", "rocrate-validator", asked, "is a valid process-run-crate")


def _models(folder: Path, quick: bool) -> Iterator[Measured]:
    """Yield a row for each shipped network that can be exported (only one if `quick`)."""
    names = dict.fromkeys(find_recipe(name).model.weights for name in RECIPES)
    for name in ["particles-1"] if quick else filter(None, names):
        try:
            written = model_card(str(name), folder / str(name), About())
        except BadInput:
            continue  # of a kind that answers with something else than score maps
        asked = ["test", str(written), "--weight-format", "onnx"]
        yield _told(f"model_{str(name).removesuffix('-1')}", "bioimageio", asked, "status passed")


def _told(name: str, program: str, arguments: Sequence[str], passes: str) -> Measured:
    """Return whether a validator says the words with which it passes a file."""
    found = _program(program)
    if found is None:
        return Measured(name, 0.0, "", detail=f"{program} is not installed: not judged")
    done = subprocess.run([found, *arguments], capture_output=True, text=True, timeout=600, stdin=subprocess.DEVNULL)
    said = done.stdout + done.stderr
    if "urlopen error" in said:
        return Measured(name, 0.0, "", detail=f"{program} needs the network: not judged")
    detail = f"{program} {arguments[0]}"
    passed = passes in " ".join(said.split())  # they set tables, whose columns are as wide as they like
    if not passed:
        wrong = [line.strip() for line in said.splitlines() if any(mark in line for mark in ("❌", "WARNING", "ERROR"))]
        detail += f": {' '.join((wrong or ['no verdict'])[0].split())}"[:160]
    return Measured(name, float(passed), "", 1.0, True, detail)


def _program(name: str, beside: str | None = None) -> str | None:
    """Return where a program is, the one in the folder of another if asked for; ``None`` where it is not installed."""
    path = os.pathsep.join(filter(None, (os.environ.get("MICROGRAPH_VALIDATORS"), os.environ.get("PATH"))))
    if beside is not None:
        other = shutil.which(beside, path=path)
        path = "" if other is None else str(Path(other).parent)
    return shutil.which(name, path=path)
