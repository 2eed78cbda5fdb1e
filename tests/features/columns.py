"""A plain renderer and the exact Fisher information, against which the fast refinement is held."""

import numpy as np

PIXEL_NM = 0.01


def graphene(size_px, rng, displacement_px=1.2, beyond_px=15):
    """Places (K, 2) of a rotated graphene sheet with and without random displacements, and which lie in the image."""
    a = 0.142 * np.sqrt(3) / PIXEL_NM
    n = int(2 * size_px / a) + 3
    i, j = (each.ravel() for each in np.mgrid[-n : n + 1, -n : n + 1])
    x, y = a * (i + j / 2), a * np.sqrt(3) / 2 * j
    ideal = np.concatenate([np.column_stack([y, x]), np.column_stack([y + 14.2, x])])
    ideal = ideal @ np.array([[np.cos(0.2), -np.sin(0.2)], [np.sin(0.2), np.cos(0.2)]]) + size_px / 2
    ideal = ideal[((ideal > -beyond_px) & (ideal < size_px + beyond_px)).all(1)]
    place = ideal + rng.normal(0, displacement_px, ideal.shape)
    return ideal, place, ((place > 0) & (place < size_px - 1)).all(1)


def gaussian(size, centre, sigma):
    return np.exp(-0.5 * ((np.arange(size) - centre) / sigma) ** 2) / (sigma * np.sqrt(2 * np.pi))


def render(shape, place, amplitude, sigma):
    """Expected image (H, W) of round Gaussian columns."""
    sigma = np.broadcast_to(sigma, (2,))
    along_y = np.stack([gaussian(shape[0], y, sigma[0]) for y in place[:, 0]])
    along_x = np.stack([gaussian(shape[1], x, sigma[1]) for x in place[:, 1]])
    return (along_y * np.asarray(amplitude)[:, None]).T @ along_x


def exact_variances(shape, place, amplitude, sigma, expected):
    """Diagonal (K, 3) of the inverse Poisson information of intensities, y, x and a constant background."""
    rows, columns = np.arange(shape[0]), np.arange(shape[1])
    slopes = []
    for (y, x), a in zip(place, amplitude, strict=True):
        gy, gx = gaussian(shape[0], y, sigma), gaussian(shape[1], x, sigma)
        slopes += [np.outer(gy, gx), a * np.outer(gy * (rows - y) / sigma**2, gx)]
        slopes += [a * np.outer(gy, gx * (columns - x) / sigma**2)]
    jacobian = np.array([*slopes, np.ones(shape)]).reshape(3 * len(place) + 1, -1).astype(np.float32)
    jacobian /= np.sqrt(expected).ravel().astype(np.float32)
    return np.diag(np.linalg.inv((jacobian @ jacobian.T).astype(float)))[:-1].reshape(-1, 3)
