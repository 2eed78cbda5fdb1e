"""What wrong names in the labels cost: the last layer of a network learned anew, from right and from flipped labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from micrograph.simulate.steels.metallography import MetallographySampler, Micrograph, flipped
from micrograph.validate.checks import Analyser, Check, Measurement
from micrograph.validate.intervals import bootstrap
from micrograph.validate.steels.microstructure_trials import LEAST_ISLAND_PX

if TYPE_CHECKING:
    from micrograph.infer import Predictor

Image = NDArray[np.float32]
#: Pixels of each image that the last layer learns from.
_PIXELS = 600
#: Its features are on a grid this many times coarser than the image.
_FOLD = 2


class _Networked(Protocol):
    @property
    def predict(self) -> Predictor:
        """The network."""
        ...


@dataclass(frozen=True)
class _Seen:
    """One image: features of its pixels (P, F), and which of its islands (N, P) and of what kind (N,) they are."""

    features: Image
    islands: NDArray[np.bool_]
    kinds: NDArray[np.int8]


def flip_loss(metals: MetallographySampler, *, images: int = 24, share: float = 0.1, at_most: float = 2.0) -> Check:
    """Build the check: percentage points of objects named rightly that are lost where a `share` of the islands that
    the last layer learns from bears a wrong name. It learns from `images`, and is judged on as many others.
    """

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        network = _body(cast(_Networked, analyser).predict)
        taught = [metals.micrograph(rng) for _ in range(images)]
        picks = [rng.integers(made.image.size // _FOLD**2, size=_PIXELS) for made in taught]
        features = np.concatenate(
            [_features(network, one.image)[pick] for one, pick in zip(taught, picks, strict=True)]
        )
        right = _learned(features, [one.metal.constituent for one in taught], picks)
        wrong = _learned(features, [flipped(one.metal, share, rng) for one in taught], picks)
        seen = [_seen(network, metals.micrograph(rng)) for _ in range(images)]
        votes = [np.stack([_votes(model, one) for model in (right, wrong)]) for one in seen]
        interval = bootstrap(_lost, votes, rng)
        kept = np.concatenate(votes, axis=1).mean(axis=1)
        detail = f"{kept[0]:.3f} with right labels, {kept[1]:.3f} with {share:.0%} flipped; last layer learned anew"
        return Measurement.of(interval, limit=0.0, detail=detail)

    return Check("objects lost to flipped labels", measure, at_most, "<=", unit="points")


def _lost(votes: Sequence[NDArray[np.bool_]]) -> float:
    right, wrong = np.concatenate(votes, axis=1).mean(axis=1)
    return float(100 * (right - wrong))


def _body(predict: Predictor) -> Any:
    """Return the network without its last layer."""
    import torch

    from micrograph.nets import build

    checkpoint = predict.members[0].checkpoint
    network: Any = build(predict.spec)
    network.load_state_dict(checkpoint.part("net"))
    network.head = torch.nn.Identity()
    return network.eval()


def _features(network: Any, image: Image) -> Image:
    """Return the features (P, F) of an image's pixels, on the network's coarser grid, row by row."""
    import torch

    from micrograph.nets import normalise

    kept: list[Any] = []
    hook = network.head.register_forward_hook(lambda module, inputs, output: kept.append(output))
    with torch.no_grad():
        network(normalise(torch.from_numpy(image), None)[None, None])
    hook.remove()
    return np.asarray(kept[0][0].reshape(kept[0].shape[1], -1).T.numpy(), np.float32)


def _learned(features: Image, labels: Sequence[NDArray[np.int8]], picks: Sequence[NDArray[np.intp]]) -> Any:
    """Return a last layer (multinomial logistic) learned from labels (H, W) of the picked pixels."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    kinds = [label[::_FOLD, ::_FOLD].ravel()[pick] for label, pick in zip(labels, picks, strict=True)]
    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=300)).fit(features, np.concatenate(kinds))


def _seen(network: Any, made: Micrograph) -> _Seen:
    islands = made.metal.islands[::_FOLD, ::_FOLD].ravel()
    kinds = made.metal.constituent[::_FOLD, ::_FOLD].ravel()
    numbers = np.flatnonzero(np.bincount(islands) >= LEAST_ISLAND_PX / _FOLD**2)
    masks = [islands == number for number in numbers if number > 0]
    kind = np.array([kinds[mask][0] for mask in masks], np.int8)
    return _Seen(_features(network, made.image), np.array(masks, bool).reshape(-1, len(islands)), kind)


def _votes(model: Any, seen: _Seen) -> NDArray[np.bool_]:
    """Return which islands (N,) most of whose pixels are named rightly."""
    told = model.predict(seen.features)
    named = [np.bincount(told[mask]).argmax() for mask in seen.islands]
    return np.asarray(np.array(named, np.int8) == seen.kinds)
