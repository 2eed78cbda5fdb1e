"""The wheel that users install: the page, the weights and the viewer's plugin are in it and come out of it."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
BUILDS = ("setuptools.build_meta", "pip")
SAYS = """
import sys, importlib.metadata, npe2
from npe2.manifest.utils import import_python_name
(entry,) = (one for one in importlib.metadata.entry_points(group="napari.manifest") if one.name == "micrograph")
manifest = npe2.PluginManifest.from_distribution("micrograph")
manifest.validate_imports()
commands = manifest.contributions.commands
found = [import_python_name(command.python_name) for command in commands]
assert found and all(map(callable, found)), found
module = sys.modules["micrograph"].__file__
print(len(found), module)
"""


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel from a copy of what it is made of, and unpack it as an installation would."""
    for name in BUILDS:
        pytest.importorskip(name)
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    shutil.copytree(ROOT / "src", source / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    command = (sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index")
    built = subprocess.run((*command, "-w", str(folder), str(source)), capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    (wheel,) = folder.glob("micrograph-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def test_every_file_of_the_package_is_in_the_wheel(unpacked: Path) -> None:
    ours = (path.relative_to(ROOT / "src") for path in (ROOT / "src" / "micrograph").rglob("*") if path.is_file())
    wanted = {path for path in ours if "__pycache__" not in path.parts and path.suffix not in (".pyc", ".ckpt")}
    missing = sorted(str(path) for path in wanted if not (unpacked / path).is_file())
    assert missing == []
    page = unpacked / "micrograph" / "live" / "web" / "page"
    assert {"index.html", "main.js", "style.css", "icon.svg"} <= {path.name for path in page.iterdir()}


def test_the_entry_point_names_a_manifest_of_the_wheel(unpacked: Path) -> None:
    (installed,) = importlib.metadata.distributions(path=[str(unpacked)])
    (entry,) = installed.entry_points.select(group="napari.manifest")
    module, _, file = entry.value.partition(":")
    assert (unpacked.joinpath(*module.split(".")) / file).is_file()
    (script,) = installed.entry_points.select(group="console_scripts")
    assert script.value == "micrograph.apps.cli:main"


def test_the_manifest_of_the_wheel_is_valid_and_all_that_it_names_imports(unpacked: Path) -> None:
    for name in ("npe2", "napari", "qtpy"):
        pytest.importorskip(name)
    environment = os.environ | {"PYTHONPATH": str(unpacked), "QT_QPA_PLATFORM": "offscreen"}
    answer = subprocess.run(
        (sys.executable, "-c", SAYS), capture_output=True, text=True, check=False, env=environment, cwd=unpacked
    )
    assert answer.returncode == 0, answer.stderr
    number, module = answer.stdout.split(maxsplit=1)
    assert int(number) >= 5 and Path(module.strip()).is_relative_to(unpacked)
