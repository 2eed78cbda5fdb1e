"""A user's own examples of classes, as every way to look at them sees them, and which of them belong together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from micrograph.apps.jobs import Advance, silent
from micrograph.core import BadInput
from micrograph.features.naming.alike import Alike, conflicts
from micrograph.features.naming.prototypes import Prior, Prototypes, fit_prototypes
from micrograph.io.classed import ClassFolder
from micrograph.nets.prototype_spec import SMALL

if TYPE_CHECKING:
    from micrograph.infer.encoders import View
    from micrograph.infer.few_shot import Features
    from micrograph.run import Recipe

Array = NDArray[np.float64]
Index = NDArray[np.intp]

#: A class that comes from one file alone is parted into so many pieces, one after the other.
_PIECES = 4
#: Images of a file that are read, at most, evenly spread: more of one file tell little that is new.
MOST_OF_A_FILE = 200
#: Images from which on what the encoder sees of them is kept, so that it can learn on.
MANY = 200


@dataclass(frozen=True)
class Examples:
    """All images of all classes: names (N,), class (N,), group (N,); features (N, D) of each candidate, by name.

    doubles: pairs of names that show the same under two classes; alone: classes that come from one file alone;
    seen: the images as the shared encoder sees them, as wholes (N, s, s) and in their middles.
    """

    folder: ClassFolder
    names: tuple[str, ...]
    classes: Index
    groups: Index
    features: Mapping[str, Array]
    doubles: tuple[tuple[str, str], ...]
    alone: tuple[str, ...]
    seen: NDArray[np.float16]

    def each(self, of: Index) -> list[int]:
        """Return for each class how many different values `of` (N,) it has."""
        return [len(np.unique(of[self.classes == k])) for k in range(len(self.folder.labels))]


@dataclass(frozen=True)
class Candidate:
    """A way to look at images: the encoder, and its looks at a frame."""

    name: str
    features: Features
    looks: tuple[str, ...]
    view: View | None = None

    def prior(self) -> Prior:
        """Return what is known of its features beforehand."""
        return self.features.prior.repeated(len(self.looks))

    def fit(self, features: Array, classes: Index, groups: Index, number: int = 0) -> Prototypes:
        """Return prototypes of its features."""
        return fit_prototypes(features, classes, groups, self.prior(), number)


def candidates(recipe: Recipe, sides: Sequence[int]) -> list[Candidate]:
    """Return the ways to look at images of such shorter sides: the shared features, and those of the recipe itself."""
    from micrograph.infer.encoders import whole_frame
    from micrograph.infer.few_shot import SHARED, load_features, looks_for, shared_features
    from micrograph.nets import EncoderSpec

    found = []
    if "image" in recipe.task.takes:
        shared = shared_features()
        found += [
            Candidate(f"shared features: {', '.join(looks)}", shared, looks)
            for looks in looks_for(sides, shared.spec.side)
        ]
    own = recipe.model
    if isinstance(own, EncoderSpec) and own.weights is not None and own.weights != SHARED:
        features = load_features(own.weights)
        found.append(Candidate(f"features of {recipe.name}", features, ("views",), recipe.view or whole_frame))
    return found


def read_examples(folder: ClassFolder, ways: Sequence[Candidate], progress: Advance = silent) -> Examples:
    """Return the features of all images in all ways, and which of them belong together."""
    alike, names, classes = Alike(), [], []
    found: dict[str, list[Array]] = {way.name: [] for way in ways}
    seen: list[NDArray[np.float16]] = []
    places = [(one, at) for one in folder.files for at in _taken(len(one.recording))]
    for done, (one, at) in enumerate(places):
        frame = one.recording.frame(at)
        for way in ways:
            found[way.name].append(way.features.of_frame(frame, way.looks, way.view))
        square = max(frame.data.shape) <= 1.15 * min(frame.data.shape)
        if len(places) >= MANY and ways[0].looks == SMALL and square:
            seen.append(ways[0].features.seen_small(frame.data).astype(np.float16))
        alike.add(frame.data, f"{one.label}/{one.path}")
        names.append(one.names()[at])
        classes.append(folder.labels.index(one.label))
        progress(done + 1, len(places), f"looking at {one.label}/{one.path.name}")
    of = np.array(classes, np.intp)
    groups, pairs = alike.groups()
    groups, alone = _parted(folder.labels, of, groups, alike.files)
    doubles = tuple((names[i], names[j]) for i, j in conflicts(pairs, of))
    features = {name: np.array(rows) for name, rows in found.items()}
    return Examples(folder, tuple(names), of, groups, features, doubles, alone, np.array(seen, np.float16))


def _taken(number: int) -> list[int]:
    """Return the images of a file that are read."""
    places = np.linspace(0, number - 1, min(number, MOST_OF_A_FILE))
    return [int(place) for place in np.unique(np.rint(places))]


def _parted(
    labels: Sequence[str], classes: Index, groups: Index, files: Sequence[str]
) -> tuple[Index, tuple[str, ...]]:
    """Return groups of which each class has two or more; a class of one file alone is parted in its order.

    Raises `BadInput` for a class all of whose files show the same.
    """
    parted, alone = groups.copy(), []
    for place, label in enumerate(labels):
        mine = np.flatnonzero(classes == place)
        if len(np.unique(groups[mine])) > 1:
            continue
        if len({files[at] for at in mine.tolist()}) > 1:
            raise BadInput(
                f"All {len(mine)} images of class '{label}' show the same: put images of other places into it, so that "
                "some can be learned from and others judged by."
            )
        alone.append(label)
        pieces = min(_PIECES, len(mine))
        parted[mine] = parted.max() + 1 + np.arange(len(mine)) * pieces // len(mine)
    return np.unique(parted, return_inverse=True)[1].astype(np.intp), tuple(alone)
