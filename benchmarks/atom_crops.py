"""An encoder of image crops around atoms, beside the graph network: the same question and answers (record 0009)."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.atom_net import PIXEL_NM, Array, Field, groups, labels
from micrograph.nets.encoder import Encoder
from micrograph.nets.encoder_spec import EncoderSpec, classes
from micrograph.validate.layers.library_checks import NAMES

#: Crops of 1.28 nm, as far as the graph network sees.
SPEC = EncoderSpec(heads=(classes("name", ("-", *NAMES)),), side=64, base=12, levels=4, pool="parts", fold=2)
#: Shares of the atoms of a batch: six of a defect, two others.
OF_DEFECT, OTHERS = 6, 2


def image_of(field: Field) -> Tensor:
    """Return the image (1, 1, H, W), in standard deviations about its mean."""
    image = field["image"].astype(np.float32)
    return torch.tensor((image - image.mean()) / image.std())[None, None]


def crops(image: Tensor, places: Array, turn: Array) -> Tensor:
    """Return the crops (N, 1, s, s) of an image around places (N, 2), pixels; `turn` (N, 2, 2) turns or mirrors."""
    sides = np.array(image.shape[:1:-1])
    theta = np.concatenate([turn * SPEC.side / sides[:, None], ((2 * places[:, ::-1] + 1) / sides - 1)[..., None]], 2)
    size = (len(places), 1, SPEC.side, SPEC.side)
    grid = functional.affine_grid(torch.tensor(theta, dtype=torch.float32), list(size), align_corners=False)
    whole = image.expand(len(places), -1, -1, -1)
    return functional.grid_sample(whole, grid, padding_mode="reflection", align_corners=False)


def turns(count: int, rng: np.random.Generator) -> Array:
    """Return random turns, half of them mirrored, (count, 2, 2)."""
    angle, flip = rng.uniform(0, 2 * np.pi, count), rng.choice([-1, 1], count)
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s * flip], [s, c * flip]]).transpose(2, 0, 1)


def learned_crops(fields: list[Field], steps: int) -> Encoder:
    """Return an encoder that has learned from the fields, crops around atoms of eight fields of other names a step."""
    torch.manual_seed(0)
    rng, net = np.random.default_rng(0), Encoder(SPEC)
    of_name = [[_taught(field) for field in fields if field["true"][0] == name] for name in NAMES]
    optimiser = torch.optim.AdamW(net.parameters(), 2e-3, weight_decay=1e-3)
    rate = torch.optim.lr_scheduler.OneCycleLR(optimiser, 2e-3, total_steps=steps, pct_start=0.05)
    for _ in range(steps):
        seen, truth = [], []
        for kind in rng.permutation(len(NAMES))[:8]:
            image, places, label, clear = of_name[kind][rng.integers(len(of_name[kind]))]
            rows = [rng.choice(np.flatnonzero(clear & which), n) for which, n in
                    ((label > 0, OF_DEFECT), (label == 0, OTHERS))]  # fmt: skip
            row = np.concatenate(rows)
            seen.append(crops(image, places[row], turns(len(row), rng)))
            truth.append(torch.tensor(label[row]))
        loss = functional.cross_entropy(net(torch.cat(seen), torch.zeros(8 * len(row), 1))[0], torch.cat(truth))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        rate.step()
    return net.eval()


def _taught(field: Field) -> tuple[Tensor, Array, Array, Array]:
    return (image_of(field), field["atoms"] / PIXEL_NM, *labels(field))


@torch.no_grad()
def crop_probabilities(net: Encoder, field: Field, places_nm: Array) -> Array:
    """Return the probabilities (N, 11) that the encoder gives to places (N, 2)."""
    if not len(places_nm):
        return np.empty((0, 1 + len(NAMES)))
    image = image_of(field)
    parts = [
        net(crops(image, some, np.broadcast_to(np.eye(2), (len(some), 2, 2))), torch.zeros(len(some), 1))[0]
        for some in np.array_split(places_nm / PIXEL_NM, max(1, len(places_nm) // 200))
    ]
    return torch.softmax(torch.cat(parts), dim=1).numpy()


def by_crops(net: Encoder, field: Field) -> tuple[Array, Array]:
    """Return names and places (nm) of the defects by crops around all atoms."""
    return groups(field, crop_probabilities(net, field, field["atoms"]))[:2]


def by_few_crops(net: Encoder, field: Field) -> tuple[Array, Array]:
    """Return names and places (nm) of the defects by one crop around each that the rules found."""
    best = crop_probabilities(net, field, field["rules_nm"]).argmax(axis=1)
    return np.array(NAMES)[best[best > 0] - 1], field["rules_nm"][best > 0]
