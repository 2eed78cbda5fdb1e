"""Features learned by episodes, and features that learn on."""

from __future__ import annotations

import importlib
from pathlib import Path

import numpy as np
import pytest
import torch

from micrograph.nets import EncoderSpec
from micrograph.nets.encoder_spec import classes
from micrograph.simulate.class_pool import KINDS, ClassPool, random_net
from micrograph.train.episodes import episode_loss, train_features
from micrograph.train.fine_tuning import TuneSettings, tuned
from micrograph.train.settings import EpisodeSettings

SPEC = EncoderSpec((classes("kind", KINDS),), side=32, base=6, levels=2, hidden=16, pool="parts", fold=2)
SETTINGS = EpisodeSettings(steps=4, families=2, images=4, kept=4, reuse=1, checkpoint_every=2)


class Small(ClassPool):
    """Families of lattices alone."""

    def drawn(self, rng: np.random.Generator, images: int) -> tuple[np.ndarray, int]:
        """Return images of one family of lattices."""
        made = [[one(rng) for _ in range(images)] for one in self.family(rng, "lattice")]
        return np.array(made, np.float32), 0

    def __call__(self, rng: np.random.Generator):  # type: ignore[no-untyped-def]
        """Return one image."""
        image, kind = self.drawn(rng, 1)
        from micrograph.core import Sample, Sites

        none = Sites(np.zeros(0), np.zeros(0), np.zeros(0, np.str_))
        return Sample(image[0, 0], 1.0, none, truth={"kind": float(kind)})


def test_an_interrupted_training_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pool, seen = Small(side_px=32, ways=2), list[int]()
    monkeypatch.setattr(importlib.import_module("micrograph.train.episodes"), "CALIBRATION", 8)

    def stop(step: int, steps: int, loss: float, right: float) -> None:
        seen.append(step)
        if step == 3 and len(seen) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_features(pool, SPEC, SETTINGS, tmp_path / "f.safetensors", progress=stop)
    made = train_features(pool, SPEC, SETTINGS, tmp_path / "f.safetensors", progress=stop)
    assert seen == [1, 2, 3, 3, 4] and made.card["training"]["steps"] == 4
    assert not (tmp_path / "f.ckpt").exists()


def test_queries_beside_their_prototype_cost_nothing() -> None:
    apart = 50.0 * torch.eye(3, 8)[:, None].expand(3, 4, 8)
    loss, right = episode_loss(apart, 2, torch.tensor(1.0))
    assert float(loss) < 1e-3 and float(right) == 1


def test_the_middle_counts_and_the_direction_of_an_image_does_not_change_its_pooled_parts() -> None:
    from micrograph.nets import Encoder

    torch.manual_seed(0)
    net = Encoder(SPEC).eval()
    image, known = torch.randn(1, 1, 32, 32), torch.zeros(1, 1)
    moved = torch.roll(image, 8, 3)
    assert not torch.allclose(net(image, known)[1], net(moved, known)[1], atol=1e-4)


def test_features_that_learn_on_tell_apart_what_they_were_shown() -> None:
    from micrograph.nets import Checkpoint, Encoder

    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    two = ClassPool(side_px=32, ways=2).family(rng, "lattice")
    seen = np.array([one(rng) for one in two for _ in range(24)])
    of = np.repeat([0, 1], 24)
    net = Encoder(SPEC)
    begun = Checkpoint(SPEC, {f"net.{key}": value for key, value in net.state_dict().items()}, {})

    def share(checkpoint: Checkpoint) -> float:
        own = Encoder(SPEC)
        own.load_state_dict(checkpoint.part("net"))
        with torch.no_grad():
            found = own.eval()(torch.from_numpy(seen[:, None]), torch.zeros(48, 1))[1].numpy()
        means = np.stack([found[of == k][::2].mean(0) for k in (0, 1)])
        named = ((found[:, None] - means) ** 2).sum(-1).argmin(1)
        return float(np.mean(named == of))

    made = tuned(begun, seen, of, TuneSettings(steps=40, learning_rate=3e-3))
    assert share(made) >= max(share(begun), 0.75)


def test_the_pool_has_no_honeycombs_and_is_made_anew_from_its_seed() -> None:
    from micrograph.simulate.class_pool import _is_honeycomb

    nets = [random_net(np.random.default_rng(seed)) for seed in range(60)]
    assert not any(_is_honeycomb(net.cell, net.sites) for net in nets)
    first, again = (ClassPool().drawn(np.random.default_rng(5), 2) for _ in range(2))
    np.testing.assert_array_equal(first[0], again[0])
    assert first[1] == again[1] and np.isfinite(first[0]).all()
