"""Learn what islands of steels are by their texture, from simulated ones, and write what ships with the package.

``python -m benchmarks.island_textures``: some minutes; prints the share of new islands that are named rightly.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import StandardScaler

from micrograph.features.metallography.island_textures import SHIPPED, IslandTextures, describe, through_filters
from micrograph.simulate.steels.metallography import CONSTITUENTS, MetallographySampler

LEARNED, NEW = 420, 60
LEAST_PX = 300


def islands(metals: MetallographySampler, seed: int, images: int) -> tuple[NDArray[np.float64], NDArray[np.int8]]:
    """Return descriptors (N, F) and constituents (N,) of the islands of simulated micrographs."""
    rows, kinds = [], []
    for number in range(images):
        made = metals.micrograph(np.random.default_rng([seed, number]))
        seen = through_filters(made.image)
        ground = np.asarray(binary_erosion(made.metal.constituent == 0, iterations=2))
        for island in range(1, int(made.metal.islands.max(initial=0)) + 1):
            mine = made.metal.islands == island
            if mine.sum() >= LEAST_PX:
                rows.append(describe(seen, mine, ground))
                kinds.append(made.metal.constituent[mine][0])
    return np.array(rows), np.array(kinds)


def main() -> None:
    """Learn, judge on new images, and write."""
    metals = MetallographySampler(high_carbon=0.0)
    table, kinds = islands(metals, 1_001, LEARNED)
    scaler = StandardScaler().fit(table)
    known = MLPClassifier((40,), alpha=1.0, max_iter=400, random_state=0).fit(scaler.transform(table), kinds)
    (w1, w2), (b1, b2) = known.coefs_, known.intercepts_
    names = tuple(CONSTITUENTS[int(kind)] for kind in known.classes_)
    IslandTextures(names, scaler.mean_, scaler.scale_, (w1, b1), (w2, b2)).save(SHIPPED)
    new, true = islands(metals, 1_002, NEW)
    right = float((known.predict(scaler.transform(new)) == true).mean())
    print(f"{len(table)} islands learned from, {right:.3f} of {len(new)} new ones named rightly")


if __name__ == "__main__":
    main()
