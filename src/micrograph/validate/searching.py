"""A small search among networks: one that finds columns better than the recipe's own, in no more time.

After MENNDL (doi:10.1109/SC.2018.00053), by successive halving (arXiv:1502.07943): all candidates learn for a few
steps, the better half anew for twice as many, and so on. All see the same images and are judged on the same others. The
winner is judged once more, beside the network of the recipe, on images that decided nothing.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from micrograph.core import Sample, Sampler
from micrograph.core.provenance import whole
from micrograph.infer import load_predictor
from micrograph.infer.backends import Compute, backend
from micrograph.nets import Checkpoint, NetSpec, build
from micrograph.train.settings import TrainSettings
from micrograph.train.trainer import train
from micrograph.validate.intervals import Interval, bootstrap
from micrograph.validate.metrics import Detection, f1
from micrograph.validate.shifts import clean, found

#: Called with (done, total, what is done now).
Progress = Callable[[int, int, str], object]
#: What candidates are drawn from.
SPACE: Mapping[str, tuple[Any, ...]] = {
    "base": (8, 10, 12, 16, 20, 24, 32),
    "levels": (2, 3, 4),
    "fold": (1, 2),
    "convolutions": (2, 3),
    "dilation": (1, 2, 4),
    "norm": ("batch", "group"),
}
#: Sides (pixels) of the image on which a network's time is taken, and how often it is.
_SIDE, _TIMES = 512, 4
#: First numbers of the random streams of judges: no training begins with them.
_JUDGES, _FRESH = 41_011, 41_012


@dataclass(frozen=True)
class SearchSettings:
    """How to search: `candidates` learn for `steps` first; `images` judge them, twice as many the winner.

    A candidate has at most so many `parameters` and takes at most `slower` times as long as the recipe's own network.
    """

    candidates: int = 16
    steps: int = 100
    images: int = 24
    rounds: int = 3
    parameters: int = 2_500_000
    slower: float = 1.1
    seed: int = 0
    training: TrainSettings = field(default_factory=lambda: TrainSettings(calibration_samples=30, workers=0))


@dataclass(frozen=True)
class Candidate:
    """A network: its specification, number of parameters, and processor time (ms) for a million pixels."""

    spec: NetSpec
    parameters: int
    ms_per_Mpx: float

    def __str__(self) -> str:
        """Name the network by what it is made of."""
        body = self.spec.body
        return "{base}x{levels} f{fold} c{convolutions} d{dilation} {norm}".format(**body)


@dataclass(frozen=True)
class Trialled:
    """A candidate after so many `steps`: what it found in each of the judging images."""

    candidate: Candidate
    steps: int
    counts: tuple[Detection, ...]

    @property
    def f1(self) -> float:
        """F1 of all images pooled."""
        return f1(self.counts)

    def as_dict(self) -> dict[str, Any]:
        """Return plain values."""
        one = self.candidate
        body = {**one.spec.body, "parameters": one.parameters, "ms_per_Mpx": one.ms_per_Mpx}
        return {**body, "steps": self.steps, "f1": self.f1, "counts": [list(count) for count in self.counts]}


@dataclass(frozen=True)
class Searched:
    """What a search brought; `gain`: F1 of the winner minus that of the recipe's own network on fresh images."""

    own: Candidate
    trials: tuple[Trialled, ...]
    winner: Candidate
    gain: Interval

    @property
    def worth_it(self) -> bool:
        """Whether the winner is better, beyond what chance does."""
        return self.winner != self.own and self.gain.low > 0


def search(
    sampler: Sampler,
    spec: NetSpec,
    folder: Path,
    settings: SearchSettings,
    progress: Progress = lambda done, total, note: None,
) -> Searched:
    """Search among networks that answer as `spec` does; ``folder/search.json`` grows trial by trial.

    A search that was interrupted goes on from there. The recipe's own network is always in the last round.
    """
    sampler = Remembered(sampler)
    log = _Log.opened(folder, spec, settings)
    names = list(log.candidates(np.random.default_rng([settings.seed, 0]), progress))
    own, left = names[0], names
    judges = sampled(clean(sampler.sampler), _JUDGES, settings)
    trials: list[Trialled] = []
    total = sum(max(2, len(names) >> number) for number in range(settings.rounds))
    for number in range(settings.rounds):
        steps = settings.steps << number
        tried = []
        for one in left:
            progress(len(trials), total, f"{one}, {steps} steps")
            tried.append(log.trial(one, steps, sampler, judges))
            trials.append(tried[-1])
        others = sorted((one for one in tried if one.candidate != own), key=lambda one: -one.f1)
        left = [own, *(one.candidate for one in others[: max(1, len(tried) // 2 - 1)])]
    best = max(tried, key=lambda one: one.f1).candidate
    steps = settings.steps << (settings.rounds - 1)
    fresh = sampled(clean(sampler.sampler), _FRESH, replace(settings, images=2 * settings.images))
    pairs = list(zip(*(log.counts(one, steps, fresh) for one in (own, best)), strict=True))
    return Searched(own, tuple(trials), best, gained(pairs, np.random.default_rng([settings.seed, 1])))


def gained(pairs: Sequence[tuple[Detection, Detection]], rng: np.random.Generator) -> Interval:
    """Return how much larger F1 is with the second of each image's counts, when images are drawn anew."""
    return bootstrap(lambda drawn: f1([two for _, two in drawn]) - f1([one for one, _ in drawn]), pairs, rng)


@dataclass(frozen=True)
class Remembered:
    """A sampler that makes each sample once, for whoever asks with the same random numbers."""

    sampler: Sampler
    kept: dict[str, Sample] = field(default_factory=dict)

    def __call__(self, rng: np.random.Generator) -> Sample:
        """Return the sample of a random stream."""
        key = repr(rng.bit_generator.state)
        if key not in self.kept:
            self.kept[key] = self.sampler(rng)
        return self.kept[key]


def sampled(sampler: Sampler, stream: int, settings: SearchSettings) -> list[Sample]:
    """Return images to judge by: others than any that is learned from."""
    return [sampler(np.random.default_rng([settings.seed, stream, number])) for number in range(settings.images)]


@dataclass(frozen=True)
class _Log:
    """The folder of a search: candidates and trials as they come, and the weights of each."""

    folder: Path
    spec: NetSpec
    settings: SearchSettings
    said: dict[str, Any]

    @staticmethod
    def opened(folder: Path, spec: NetSpec, settings: SearchSettings) -> _Log:
        """Go on with the search in a folder if it is the same one, though perhaps of fewer rounds."""
        path, key = folder / "search.json", repr((spec, replace(settings, rounds=1)))
        said = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        return _Log(folder, spec, settings, said if said.get("key") == key else {"key": key, "drawn": [], "trials": []})

    def kept(self) -> None:
        """Write all that is known."""
        with whole(self.folder / "search.json") as temporary:
            temporary.write_text(json.dumps(self.said, indent=1) + "\n", encoding="utf-8")

    def candidates(self, rng: np.random.Generator, progress: Progress) -> Iterator[Candidate]:
        """Yield the recipe's own network, then as many others as are wanted that keep to the limits."""
        progress(0, 0, "choosing candidates")
        if not self.said["drawn"]:
            chosen = list(drawn(self.spec, self.settings, rng))
            self.said["drawn"] = [
                {**one.spec.body, "parameters": one.parameters, "ms_per_Mpx": one.ms_per_Mpx} for one in chosen
            ]
            self.kept()
        for row in self.said["drawn"]:
            body = {name: row[name] for name in self.spec.body}
            yield Candidate(replace(self.spec, **body), row["parameters"], row["ms_per_Mpx"])

    def trial(self, one: Candidate, steps: int, sampler: Sampler, judges: Sequence[Sample]) -> Trialled:
        """Return a candidate after so many steps: learned and judged once."""
        for row in self.said["trials"]:
            if row["steps"] == steps and all(row[name] == value for name, value in one.spec.body.items()):
                return Trialled(one, steps, tuple(Detection(*count) for count in row["counts"]))
        settings = replace(self.settings.training, steps=steps, seed=self.settings.seed, checkpoint_every=10**9)
        train(sampler, one.spec, settings, self._weights(one, steps))
        done = Trialled(one, steps, self.counts(one, steps, judges))
        self.said["trials"].append(done.as_dict())
        self.kept()
        return done

    def counts(self, one: Candidate, steps: int, images: Sequence[Sample]) -> tuple[Detection, ...]:
        """Return what a candidate that has learned finds in each image."""
        predict = load_predictor(self._weights(one, steps), backend_name="torch", device="cpu")
        return tuple(found(predict, image) for image in images)

    def _weights(self, one: Candidate, steps: int) -> Path:
        return self.folder / f"{str(one).replace(' ', '-')}-{steps}.safetensors"


def drawn(spec: NetSpec, settings: SearchSettings, rng: np.random.Generator) -> Iterator[Candidate]:
    """Yield the candidate of `spec`, then others within the limits of size and time; fewer where there are few."""
    seen = {spec}
    reference = compute_of(spec)
    own = Candidate(spec, size_of(spec), milliseconds(reference, spec))
    yield own
    left = settings.candidates - 1
    for _ in range(50 * settings.candidates):
        other = replace(spec, **{name: values[int(rng.integers(len(values)))] for name, values in SPACE.items()})
        if left == 0:
            return
        if other in seen or size_of(other) > settings.parameters or spec.patch % other.multiple:
            continue
        seen.add(other)
        # Taken beside the recipe's own network, as the processor may be busy with other work.
        ratio = milliseconds(compute_of(other), other) / milliseconds(reference, spec)
        if ratio <= settings.slower:
            left -= 1
            yield Candidate(other, size_of(other), own.ms_per_Mpx * ratio)


def size_of(spec: NetSpec) -> int:
    """Return the number of parameters of a network."""
    return sum(one.numel() for one in build(spec).parameters())


def compute_of(spec: NetSpec) -> Compute:
    """Return an untrained network, ready to compute on the processor."""
    state = {f"net.{key}": tensor for key, tensor in build(spec).state_dict().items()}
    return backend(Checkpoint(spec, state, {}), "auto", "cpu", 1)


def milliseconds(compute: Compute, spec: NetSpec) -> float:
    """Return the processor time in ms that a network takes for a million pixels, at best."""
    image = np.random.default_rng(0).standard_normal((1, spec.channels, _SIDE, _SIDE)).astype(np.float32)
    compute(image)
    taken = []
    for _ in range(_TIMES):
        began = time.process_time()
        compute(image)
        taken.append(time.process_time() - began)
    return min(taken) * 1e3 / (_SIDE**2 / 1e6)
