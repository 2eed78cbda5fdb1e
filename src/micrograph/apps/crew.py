"""An analysis on several processes or machines: parts of a recording go to Dask workers, which open it themselves.

A worker gets the request once and keeps the recording, the weights and the network that it made of it; what travels
afterwards is the range of a part one way and its tables the other. Tables are folded here, part by part and in order,
so that the results are those of one process. A worker that is lost costs the parts that it had: others do them again.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from micrograph.apps import jobs, requests
from micrograph.apps.jobs import Advance, silent
from micrograph.apps.requests import Request
from micrograph.core import BadInput

if TYPE_CHECKING:
    from micrograph.core import Recording
    from micrograph.run import Elsewhere, Predict, Recipe, Tables
    from micrograph.run.parts import Part

#: Parts given to each worker ahead of what is folded, and how often a part may outlive its worker.
_AHEAD, _RETRIES = 2, 3
#: How the system is watched, by Dask in this process and in the workers: seldom, as it costs time of their cores.
_WATCH = "5s"
#: What every worker's process begins with: one thread, as there is one worker a core, and none to watch that one.
#: Freed memory is kept for the next frame: Dask gives back what is over 64 kB, which costs a tenth of the time.
_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "MALLOC_MMAP_THRESHOLD_": str(2**25),
    "MALLOC_TRIM_THRESHOLD_": str(2**27),
    "DASK_DISTRIBUTED__WORKER__PROFILE__ENABLED": "False",
    "DASK_DISTRIBUTED__ADMIN__SYSTEM_MONITOR__INTERVAL": _WATCH,
}
_OWN = {
    "distributed.nanny.pre-spawn-environ": _ENVIRONMENT,
    "distributed.admin.system-monitor.interval": _WATCH,
    "distributed.worker.profile.enabled": False,
}


#: In a worker: what it made of the work that it does, by what the work is.
_KEPT: dict[str, tuple[Recipe, Recording, Predict]] = {}


@dataclass(frozen=True)
class Work:
    """What a worker needs to know of an analysis: the file, what was asked, and the folder of the results.

    arrays: all workers write into arrays of that folder, which the first part makes.
    """

    path: Path
    request: Request
    folder: Path
    arrays: bool


@dataclass(frozen=True)
class Crew:
    """Workers that wait for parts: Dask's client, how many they are, and the address of its dashboard."""

    client: Any
    workers: int
    dashboard: str

    def elsewhere(
        self, recipe: Recipe, path: Path, request: Request, folder: Path, progress: Advance = silent
    ) -> Elsewhere:
        """Return what works through the parts of the recording at a path; results go into `folder`."""
        return functools.partial(self._tables, _work(recipe, path, request, folder), progress)

    def prepare(self, recipe: Recipe, path: Path, request: Request, folder: Path) -> None:
        """Let every worker make its network now, beside what this process has to do before the first part.

        A model that is yet to be learned from the recording is left for later.
        """
        import distributed

        dask: Any = distributed
        if recipe.learner is None or request.weights:
            work = _work(recipe, path, request, folder)
            for address in self.client.scheduler_info(n_workers=-1)["workers"]:
                dask.fire_and_forget(self.client.submit(_prepared, work, workers=[address], pure=False))

    def _tables(
        self, work: Work, progress: Advance, parts: Sequence[Part], plan: Mapping[str, Any]
    ) -> Iterator[Tables]:
        """Yield the tables of every part in order; only so many parts are under way that memory stays small."""
        waiting: deque[tuple[Part, Any]] = deque()
        for part in parts:
            waiting.append((part, self.client.submit(part_of, work, part, dict(plan), pure=False, retries=_RETRIES)))
            first_alone = work.arrays and part is parts[0]
            while waiting and (first_alone or len(waiting) >= _AHEAD * self.workers):
                yield self._result(waiting, parts, progress)
        while waiting:
            yield self._result(waiting, parts, progress)

    def _result(self, waiting: deque[tuple[Part, Any]], parts: Sequence[Part], progress: Advance) -> Tables:
        from distributed import KilledWorker

        part, future = waiting.popleft()
        try:
            tables: Tables = future.result()
        except KilledWorker as error:
            raise BadInput(
                f"Workers were lost {_RETRIES + 1} times at frames {part.first} to {part.last}: they may lack memory; "
                "give fewer workers or more memory, and --resume goes on."
            ) from error
        progress(part.positions.stop, parts[-1].positions.stop, f"{len(tables['objects'])} objects")
        return tables


def _work(recipe: Recipe, path: Path, request: Request, folder: Path) -> Work:
    return Work(path.resolve(), request, folder.resolve(), bool(request.maps or recipe.images))


@contextlib.contextmanager
def crew(workers: int, cluster: str | None = None, memory: str | None = None) -> Iterator[Crew]:
    """Hire workers: so many processes of this machine, or those of a running Dask cluster at an address.

    memory: of each process here ("2 GB"). Raises `BadInput` where Dask is missing or nobody answers at the address.
    """
    try:
        import dask.config
        import distributed
    except ImportError as error:
        raise BadInput(
            "Several workers need Dask, which is not installed: pip install 'micrograph[cluster]'."
        ) from error
    client_of: Any = distributed.Client
    cluster_of: Any = distributed.LocalCluster
    if cluster is not None:
        try:
            client = client_of(cluster, timeout=15)
        except (OSError, TimeoutError, ValueError) as error:
            raise BadInput(f"No Dask cluster answers at '{cluster}': start one, and give its address.") from error
        with client:
            number = len(client.scheduler_info(n_workers=-1)["workers"])
            if number == 0:
                raise BadInput(f"The Dask cluster at '{cluster}' has no workers: start some, and run again.")
            yield Crew(client, number, str(client.dashboard_link))
        return
    limit: Any = {} if memory is None else {"memory_limit": memory.replace(" ", "")}
    with (
        dask.config.set(_OWN),
        cluster_of(
            n_workers=workers, threads_per_worker=1, silence_logs=logging.CRITICAL,
            dashboard_address="127.0.0.1:0", host="127.0.0.1", **limit,
        ) as local,
        client_of(local) as client,
    ):  # fmt: skip
        if 0 < len(_cores()) <= workers:
            client.register_worker_callbacks(_keep_to_one_core)
        yield Crew(client, workers, str(client.dashboard_link))


def _cores() -> list[int]:
    """Return the cores that this process may use, as the system numbers them; none where it cannot tell."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


def _keep_to_one_core(dask_worker: Any) -> None:
    """Keep a worker, and the threads that it will start, to one core: else the system lets two share one at times."""
    if cores := _cores():
        os.sched_setaffinity(0, {cores[int(dask_worker.name) % len(cores)]})


def part_of(work: Work, part: Part, plan: Mapping[str, Any]) -> Tables:
    """Return the tables of one part: what a worker does."""
    from micrograph.run import observed_part

    recipe, recording, predict = _ready(work)
    return observed_part(recipe, recording, predict, work.folder, plan, part)


def _prepared(work: Work) -> None:
    """Make in a worker what the parts will need; what goes wrong is told with the first part."""
    with contextlib.suppress(Exception):
        _ready(work)


def _ready(work: Work) -> tuple[Recipe, Recording, Predict]:
    """Return the recipe, the recording and the model of a piece of work, made once in a worker."""
    from micrograph.infer.backends import spread

    key = repr(work)
    if key not in _KEPT:
        _KEPT.clear()
        recipe = jobs.recipe_for(work.request)
        recording = requests.open_calibrated(work.path, work.request)
        # What was learned from the recording lies in the folder.
        resumed = replace(work.request, resume=True, device=spread(work.request.device, _number()))
        _KEPT[key] = (recipe, *jobs.readied(recipe, recording, resumed, into=work.folder))
    return _KEPT[key]


def _number() -> int:
    """Return which of the workers of this machine this one is; 0 for one of another cluster."""
    from distributed import get_worker

    name = get_worker().name
    return name if isinstance(name, int) else 0


@contextlib.contextmanager
def hired(
    recipe: Recipe, request: Request, tell: Callable[[str], object] = lambda sentence: None
) -> Iterator[Crew | None]:
    """Hire the workers that a request asks for and tell where they can be watched; ``None`` for one process.

    Raises `BadInput` for a recipe whose answer rests on the whole recording before its first frame: each worker would
    look at all of it again.
    """
    from micrograph.run import Preparer

    if request.workers == 1 and request.cluster is None:
        yield None
        return
    if isinstance(recipe.learner, Preparer):
        raise BadInput(
            f"Recipe '{recipe.name}' looks at the whole recording before its first frame: it runs in one process; "
            "leave --workers out."
        )
    with crew(request.workers, request.cluster, request.memory) as found:
        tell(f"{found.workers} workers; watch them at {found.dashboard}")
        yield found
