"""Lattice sites without an atom."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from micrograph.features.columns.covariance import points
from micrograph.features.lattices.lattice import Extent, Lattice, LatticeSites

Array = NDArray[np.float64]


def missing_sites(
    lattice: Lattice,
    y_nm: ArrayLike,
    x_nm: ArrayLike,
    extent: Extent | None = None,
    *,
    least_surrounded: float = 0.5,
) -> LatticeSites:
    """Return the sites within `extent` (default: the box around the atoms) that hold no atom.

    y_nm, x_nm: (N,) the atoms that `lattice` was fitted to. The displacement of the nearest atoms is added to the ideal
    places, and a site is empty if no atom lies within 0.45 site spacings of it. Sites of which less than
    `least_surrounded` of the nearest sites are occupied lie outside the layer or in a larger hole: they are left out.
    """
    from scipy.spatial import cKDTree

    atoms = points(y_nm, x_nm)
    box = (*atoms.min(axis=0), *atoms.max(axis=0)) if extent is None else extent
    sites = lattice.sites_in((float(box[0]), float(box[1]), float(box[2]), float(box[3])))
    known = lattice.on_site
    if not len(sites):
        return sites
    ideal = cKDTree(lattice.position(lattice.index[known]))
    place = np.stack([sites.y_nm, sites.x_nm], axis=1)
    distance, near = map(np.asarray, ideal.query(place, k=6))
    place = place + lattice.displacement_nm[known][near].mean(axis=1)
    spacing = lattice.site_spacing_nm
    empty = np.asarray(cKDTree(atoms).query(place)[0]) > 0.45 * spacing
    around = np.count_nonzero(distance < 1.2 * spacing, axis=1)
    enough = around >= least_surrounded * np.minimum(_coordination(lattice, 1.2 * spacing), 6)[sites.index[:, 2]]
    which = empty & enough & (distance[:, 0] > 1e-6)
    return LatticeSites(place[which, 0], place[which, 1], sites.index[which])


def _coordination(lattice: Lattice, reach: float) -> NDArray[np.intp]:
    """Return how many sites lie within `reach` of each site of the cell, (n,)."""
    shifts = np.mgrid[-3:4, -3:4].reshape(2, -1).T
    steps = (lattice.basis[None, :, None] - lattice.basis[:, None, None] + shifts) @ lattice.cell
    length = np.linalg.norm(steps, axis=-1)
    return np.asarray(np.count_nonzero((length < reach) & (length > 1e-9), axis=(1, 2)))
