"""Where a result comes from: digests, versions, and files that appear whole or not at all."""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import tempfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from micrograph.core.errors import BadInput

PACKAGES = ("micrograph", "numpy", "scipy", "pandas", "torch", "openvino", "rosettasciio", "ase")


def digest(path: Path, limit: int | None = 64 * 2**20) -> str:
    """Return 'sha256:...' of a file's first `limit` bytes and its size; the whole file when `limit` is ``None``."""
    size = path.stat().st_size
    sha = hashlib.sha256()
    with path.open("rb") as file:
        left = size if limit is None else min(size, limit)
        while left > 0 and (block := file.read(min(left, 2**20))):
            sha.update(block)
            left -= len(block)
    if limit is not None and size > limit:
        sha.update(str(size).encode())
        return f"sha256-head:{sha.hexdigest()}"
    return f"sha256:{sha.hexdigest()}"


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that shape a result."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def made_folder(path: Path) -> Path:
    """Return the folder `path`, made with its parents where it is not there; raises `BadInput` where it cannot be."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(f"The folder {path} cannot be made ({error.strerror}): choose another with -o.") from error
    return path


@contextlib.contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path` and move it into place when the block succeeds; else leave nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.stem}-", suffix=path.suffix, dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
