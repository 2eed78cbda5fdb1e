"""Rows on disk as soon as a frame is done, the same tables as of an analysed file at the end, and nothing twice.

Each frame is a part of its own at first (`micrograph.run.parts`), whole or not at all. As soon as enough have come they
are joined into the parts that an analysis of a file would have written, so that the files of the end are the same.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from micrograph.core import BadInput
from micrograph.core.provenance import made_folder
from micrograph.run.analyze import PLAN
from micrograph.run.finishing import RECORD
from micrograph.run.parts import SUFFIX, Part, joined
from micrograph.run.record import read_json, require_same, write_json

if TYPE_CHECKING:
    from micrograph.run.recipe import Tables

_PART = re.compile(rf"frames-(\d+)-(\d+){re.escape(SUFFIX)}")


class Ledger:
    """The tables of a running analysis in `folder`, for one writer.

    key: what decides the result (see `micrograph.run.record`). An earlier run in the same folder is gone on with where
    `resume` is set and the key is the same (`BadInput` else), and replaced where not.
    """

    def __init__(self, folder: Path, key: Mapping[str, Any], part_frames: int, *, resume: bool = False) -> None:
        self.folder = made_folder(folder)
        self.parts_folder = folder / "parts"
        self._most = part_frames
        earlier = read_json(self.parts_folder / PLAN)
        if not resume:
            self.forget()
        elif earlier is not None:
            require_same(earlier, key, folder)
        elif read_json(folder / RECORD) is not None:
            raise BadInput(
                f"The earlier run in {folder} was finished: give another folder with -o, or leave --resume out."
            )
        write_json(self.parts_folder / PLAN, key)
        self.parts = self._found()
        self._done = {int(n) for part in self.parts for n in part.read()["frames"]["frame"]}
        self._pending: list[tuple[Part, Tables | None]] = []
        self._lock = threading.Lock()
        self._reopen()

    def done(self, number: int) -> bool:
        """Return whether the rows of frame `number` are on disk."""
        return number in self._done

    @property
    def frames(self) -> int:
        """Frames whose rows are on disk."""
        return len(self._done)

    def read(self) -> Iterator[Tables]:
        """Yield the tables of what is on disk, part by part in order."""
        for part in [*self.parts, *(part for part, _ in self._pending)]:
            yield part.read()

    def rows(self, number: int) -> Tables | None:
        """Return the tables of one frame that is on disk, ``None`` where it is not."""
        with self._lock:
            parts = [*self.parts, *(part for part, _ in self._pending)]
            part = next((part for part in parts if part.first <= number <= part.last), None)
            tables = {} if part is None else part.read()
        return {name: table[table["frame"] == number] for name, table in tables.items()} or None

    def write(self, number: int, tables: Tables) -> None:
        """Write the rows of one frame; when this returns they are on disk. Raises `OSError` where there is no room.

        What was written before stays as it was then, and the same frame may be tried again.
        """
        position = len(self._done)
        part = Part(range(position, position + 1), number, number, self.parts_folder)
        part.write(tables)
        with self._lock:
            self._done.add(number)
            self._pending.append((part, tables))
            if len(self._pending) >= self._due:
                with contextlib.suppress(OSError):
                    self._join()

    def close(self) -> list[Part]:
        """Join what is left and return all parts, as an analysis of a file would have cut them."""
        with self._lock:
            if self._pending:
                self._join()
        return self.parts

    def forget(self) -> None:
        """Remove the parts: of an earlier run, or when the final tables are written."""
        shutil.rmtree(self.parts_folder, ignore_errors=True)

    @property
    def _due(self) -> int:
        """Frames that the part which is being filled will have: 1, 1, 2, 4, ... as in `parts_of`."""
        return max(1, min(sum(len(part.positions) for part in self.parts), self._most))

    def _join(self) -> None:
        """Make one part of the frames that are pending and remove their own parts."""
        parts = [part for part, _ in self._pending]
        whole = Part(
            range(parts[0].positions.start, parts[-1].positions.stop), parts[0].first, parts[-1].last, self.parts_folder
        )
        if len(parts) > 1:
            whole.write(joined([part.read() if tables is None else tables for part, tables in self._pending]))
            for part in parts:
                part.remove()
        self.parts.append(whole)
        self._pending = []

    def _found(self) -> list[Part]:
        """Return the finished parts of an earlier run in order; what a larger part holds already is removed."""
        names = (_PART.fullmatch(path.name) for path in self.parts_folder.glob(f"frames-*{SUFFIX}"))
        spans = sorted(((int(m[1]), -int(m[2])) for m in names if m), key=lambda span: span)
        parts: list[Part] = []
        begin = 0
        for first, last in ((first, -last) for first, last in spans):
            if parts and first <= parts[-1].last:
                Part(range(0), first, last, self.parts_folder).remove()
                continue
            rows = len(Part(range(0), first, last, self.parts_folder).read()["frames"])
            parts.append(Part(range(begin, begin + rows), first, last, self.parts_folder))
            begin += rows
        return parts

    def _reopen(self) -> None:
        """Take the single frames at the end that no part of the final size holds yet as pending."""
        sizes, complete = [len(part.positions) for part in self.parts], 0
        total = 0
        while complete < len(sizes) and sizes[complete] == max(1, min(total, self._most)):
            total += sizes[complete]
            complete += 1
        self._pending = [(part, None) for part in self.parts[complete:]]
        self.parts = self.parts[:complete]
