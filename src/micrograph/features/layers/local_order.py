"""Tables of local order: what the crops of a recording say together, by frame and by kind of surroundings."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from micrograph.core import Column
from micrograph.features.layers.windows import Windows
from micrograph.features.summary import interval
from micrograph.nets.rvae_spec import Agreement, Encoded

#: What the tables of local order promise.
CROPS = (
    Column("frame", "", "number of the frame"),
    Column("t_s", "s", "when it was taken"),
    Column("y_nm", "nm", "centre of the crop"),
    Column("x_nm", "nm", "centre of the crop"),
    Column("angle_deg", "deg", "orientation of the surroundings, modulo the symmetry", sigma="angle_sigma_deg"),
    Column("z1", "", "first content latent, which says most", sigma="z1_sigma"),
    Column("order", "", "amplitude of the lattice in the crop, 0..1; 1 is as in the most ordered crops"),
    Column("class", "", "kind of surroundings"),
    Column("class_p", "", "probability of the class"),
)
ORDER = (
    Column("frame", "", "number of the frame"),
    Column("t_s", "s", "when it was taken"),
    Column("crops", "", "crops of this frame"),
    Column("order", "", "mean order", sigma="order_sigma"),
    Column("angle_deg", "deg", "mean orientation; what is turned by 180 degrees counts as the same"),
    Column("angle_spread_deg", "deg", "circular standard deviation of the orientation within the frame"),
)
STABILITY = (
    Column("seed_a", "", "seed of one training"),
    Column("seed_b", "", "seed of another"),
    Column("rho", "", "least rank correlation of the latents that say something, after pairing them"),
    Column("angle", "", "circular correlation of the angles"),
    Column("ari", "", "adjusted Rand index of the classes"),
    Column("verdict", "", "stable or unstable, over all pairs"),
)
KINDS = (
    Column("name", "", "kind of surroundings, or 'all'"),
    Column("count", "", "expected number of crops: the sum of their probabilities"),
    Column("count_low", "", "lower end of its 95 % interval"),
    Column("count_high", "", "upper end of its 95 % interval"),
    Column("share", "", "share of all crops"),
    Column("order", "", "mean order of these crops", sigma="order_sigma"),
)
TRAVERSAL = (
    Column("class", "", "kind of surroundings"),
    Column("latent", "", "which content latent is changed"),
    Column("value", "", "its value, in units of its spread"),
    Column("y_nm", "nm", "place in the drawing, from its centre"),
    Column("x_nm", "nm", "place in the drawing, from its centre"),
    Column("brightness", "", "what the decoder draws there"),
)


def class_names(count: int) -> list[str]:
    """Return what `count` classes are called, the largest first: k1, k2, ..."""
    return [f"k{number}" for number in range(1, count + 1)]


def crop_table(seen: Windows, encoded: Encoded) -> pd.DataFrame:
    """Return one row a window (`CROPS`), by frame."""
    best = encoded.class_p.argmax(1)
    columns = {
        "frame": seen.frame,
        "t_s": seen.t_s,
        "y_nm": seen.y_nm,
        "x_nm": seen.x_nm,
        "angle_deg": encoded.angle_deg,
        "angle_sigma_deg": encoded.angle_sigma_deg,
    }
    for latent, (values, sigma) in enumerate(zip(encoded.latents.T, encoded.latent_sigma.T, strict=True), start=1):
        columns |= {f"z{latent}": values, f"z{latent}_sigma": sigma}
    columns |= {
        "order": encoded.order,
        "class": np.array(class_names(encoded.class_p.shape[1]))[best],
        "class_p": encoded.class_p[np.arange(len(best)), best],
    }
    return pd.DataFrame(columns).sort_values("frame", kind="stable", ignore_index=True)


def order_by_frame(crops: pd.DataFrame, symmetry: int) -> pd.DataFrame:
    """Return one row a frame (`ORDER`) from the table of crops, whose angles count modulo 360 / `symmetry` degrees.

    What is turned by 180 degrees counts as the same here: sites of the two halves of a honeycomb differ by that.
    """
    fold = symmetry if symmetry % 2 == 0 else 2 * symmetry
    rows = []
    for frame, own in crops.groupby("frame", sort=True):
        order = own["order"].to_numpy(float)
        heading = np.exp(1j * np.radians(fold * own["angle_deg"].to_numpy(float))).mean()
        error = order.std(ddof=1) / np.sqrt(len(order)) if len(order) > 1 else np.nan
        spread = np.degrees(np.sqrt(-2 * np.log(max(abs(heading), 1e-12)))) / fold
        angle = np.degrees(np.angle(heading)) / fold % (360 / fold)
        rows.append([frame, own["t_s"].iloc[0], len(own), order.mean(), error, angle, spread])
    names = ["frame", "t_s", "crops", "order", "order_sigma", "angle_deg", "angle_spread_deg"]
    return pd.DataFrame(rows, columns=names).astype({"frame": "int64", "crops": "int64"})


def kinds(encoded: Encoded) -> pd.DataFrame:
    """Return one row a class and one of all (`KINDS`)."""
    order = encoded.order
    weights = np.column_stack([encoded.class_p, np.ones(len(order))])
    rows = []
    for name, p in zip([*class_names(encoded.class_p.shape[1]), "all"], weights.T, strict=True):
        count = float(p.sum())
        low, high = interval(count, float((p * (1 - p)).sum()))
        mean = float((p * order).sum() / count) if count > 0 else np.nan
        error = float(np.sqrt((p * (order - mean) ** 2).sum()) / count) if count > 0 else np.nan
        rows.append([name, count, low, high, count / max(len(order), 1), mean, error])
    columns = ["name", "count", "count_low", "count_high", "share", "order", "order_sigma"]
    return pd.DataFrame(rows, columns=columns)


def agreement_table(pairs: Sequence[Agreement], verdict: str) -> pd.DataFrame:
    """Return one row a pair of seeds (`STABILITY`), all with the verdict on all pairs."""
    rows = [[pair.first, pair.second, pair.rho, pair.angle, pair.ari, verdict] for pair in pairs]
    return pd.DataFrame(rows, columns=[column.name for column in STABILITY])


def traversal_table(images: NDArray[np.float32], step_nm: float, reach: float = 2.0) -> pd.DataFrame:
    """Return drawings (K, L, steps, size, size), in which a latent goes from -reach to reach, one row a pixel."""
    classes, latents, steps, size, _ = images.shape
    place = (np.arange(size) - (size - 1) / 2) * step_nm
    value = np.linspace(-reach, reach, steps)
    kind, latent, step, row, column = (index.ravel() for index in np.indices((classes, latents, steps, size, size)))
    return pd.DataFrame(
        {
            "class": np.array(class_names(classes))[kind],
            "latent": latent + 1,
            "value": value[step],
            "y_nm": place[row],
            "x_nm": place[column],
            "brightness": images.ravel(),
        }
    )
