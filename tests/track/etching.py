"""Outlines that etch or grow by a planted law, seen with noise, while they move as rigid bodies."""

import numpy as np
import pandas as pd

PIXEL_NM = 0.193


def even(points, count):
    closed = np.vstack([points, points[:1]])
    way = np.r_[0, np.cumsum(np.hypot(*np.diff(closed, axis=0).T))]
    at = np.arange(count) * way[-1] / count
    return np.column_stack([np.interp(at, way, closed[:, axis]) for axis in range(2)])


def rod(length_nm=60.0, width_nm=20.0, count=720):
    radius = width_nm / 2
    turn = np.linspace(-np.pi / 2, np.pi / 2, count // 2)
    reach = length_nm / 2 - radius
    x = np.r_[reach + radius * np.cos(turn), -reach - radius * np.cos(turn)]
    return even(np.column_stack([np.r_[radius * np.sin(turn), -radius * np.sin(turn)], x]), count)


def triangle(side_nm=45.0, corner_nm=5.0, count=720):
    points = []
    for middle in np.pi / 2 + 2 * np.pi / 3 * np.arange(3):
        turn = np.linspace(middle - np.pi / 3, middle + np.pi / 3, 60)
        centre = (side_nm / np.sqrt(3) - 2 * corner_nm) * np.array([np.sin(middle), np.cos(middle)])
        points.append(centre + corner_nm * np.column_stack([np.sin(turn), np.cos(turn)]))
    return even(np.concatenate(points), count)


def evolved(points, v0, k, time=1.0, step=0.05):
    """Return the curve after `time` of motion along its normals with v = v0 + k * curvature, k <= 0."""
    from scipy.interpolate import CubicSpline

    closed = np.vstack([points, points[:1]])
    way = np.r_[0, np.cumsum(np.hypot(*np.diff(closed, axis=0).T))]
    points = CubicSpline(way, closed, bc_type="periodic")(np.arange(len(points)) * way[-1] / len(points))
    place, order = points[:, 1] + 1j * points[:, 0], 1j * np.fft.fftfreq(len(points), 1 / len(points))
    wave = 2 * np.pi * np.abs(order) / way[-1]
    for _ in range(round(time / step)):
        parts = np.fft.fft(place) * ((wave**2 * step * abs(k) <= 1) & (wave < 6))
        first, second = np.fft.ifft(parts * order), np.fft.ifft(parts * order**2)
        bend = (first.conj() * second).imag / np.abs(first) ** 3
        place = np.fft.ifft(parts) + step * (v0 + k * bend) * -1j * first / np.abs(first)
    return np.column_stack([place.imag, place.real])


def seen(points, rng, noise_px=0.5, correlation_px=3.0):
    """Return the curve in points a pixel apart, with errors along its normals that are alike over some pixels."""
    from scipy.ndimage import gaussian_filter1d

    count = round(np.hypot(*np.diff(points, axis=0, append=points[:1]).T).sum() / PIXEL_NM)
    points = even(points, count)
    error = gaussian_filter1d(rng.normal(size=count), correlation_px / np.sqrt(2), mode="wrap")
    error *= noise_px * PIXEL_NM / max(error.std(), 1e-12)
    along = np.roll(points, -3, 0) - np.roll(points, 3, 0)
    along /= np.hypot(*along.T)[:, None]
    return points + error[:, None] * np.column_stack([-along[:, 1], along[:, 0]])


def turned(points, angle):
    cos, sin = np.cos(angle), np.sin(angle)
    return points @ np.array([[cos, -sin], [sin, cos]])


def etched(rng, v0, k, *, shapes=6, frames=21, noise_px=0.5, walk_nm=0.3, turn_rad=0.05):
    """Return outlines [object][frame] of rods and triangles that move at random; v0 and k per frame."""
    movie = []
    for i in range(shapes):
        size = rng.uniform(0.85, 1.15)
        shape = rod(60 * size, 20 * size) if i % 2 == 0 else triangle(45 * size)
        angle, place, outlines = rng.uniform(0, 6.3), np.array([100.0 * i, 50.0]), []
        for _ in range(frames):
            outlines.append(seen(turned(shape, angle) + place, rng, noise_px))
            shape, angle = evolved(shape, v0, k), angle + rng.normal(0, turn_rad)
            place = place + rng.normal(0, walk_nm, 2)
        movie.append(outlines)
    return movie


def area(points):
    y, x = points.T
    return float(abs(np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y)) / 2)


def tables(outlines, frame, t_s):
    """Return the tables of one frame from its outlines."""
    objects = pd.DataFrame(
        [
            {
                "frame": frame, "id": i, "y_nm": one[:, 0].mean(), "x_nm": one[:, 1].mean(), "area_nm2": area(one),
                "perimeter_nm": np.hypot(*np.diff(one, axis=0, append=one[:1]).T).sum(), "class": "particle",
                "score": 1.0, "flags": 0,
            }
            for i, one in enumerate(outlines)
        ],
        columns=["frame", "id", "y_nm", "x_nm", "area_nm2", "perimeter_nm", "class", "score", "flags"],
    )  # fmt: skip
    pieces = [
        pd.DataFrame({"frame": frame, "id": i, "point": np.arange(len(one)), "y_nm": one[:, 0], "x_nm": one[:, 1]})
        for i, one in enumerate(outlines)
    ]
    empty = pd.DataFrame({name: [] for name in ("frame", "id", "point", "y_nm", "x_nm")})
    frames = pd.DataFrame({"frame": [frame], "t_s": [t_s], "area_nm2": [1e4], "flags": [0]})
    return {"frames": frames, "objects": objects, "outlines": pd.concat(pieces) if pieces else empty}
