"""Outlines of known shapes [y, x], counter-clockwise on the screen, and coverage maps of discs."""

import numpy as np

from micrograph.features.objects.outlines import Outlines


def ellipse(a, b, number=400, centre=(0.0, 0.0), turn_deg=0.0):
    """Half-axis `a` at `turn_deg` from +x, evenly spaced in the ellipse's own angle."""
    t = np.linspace(0, 2 * np.pi, number, endpoint=False)
    return turn(np.stack([-b * np.sin(t), a * np.cos(t)], axis=1), turn_deg) + centre


def rectangle(length, width, turn_deg=0.0):
    corners = np.array([[1, -1], [1, 1], [-1, 1], [-1, -1]]) * [width / 2, length / 2]
    return turn(corners, turn_deg)


def triangle(edge):
    angle = np.deg2rad([90, 210, 330])
    return edge / np.sqrt(3) * np.stack([-np.sin(angle), np.cos(angle)], axis=1)


def turn(points, angle_deg):
    c, s = np.cos(np.deg2rad(angle_deg)), np.sin(np.deg2rad(angle_deg))
    y, x = points.T
    return np.stack([c * y - s * x, s * y + c * x], axis=1)


def outlines(*points):
    number = len(points)
    return Outlines(tuple(points), np.arange(1, number + 1), np.zeros(number, bool), np.zeros(number), np.zeros(number))


def disc(radius, centre, side, fine=16):
    """Coverage (side, side) of a disc, every edge pixel averaged over fine x fine points."""
    y, x = np.mgrid[:side, :side].astype(float)
    distance = np.hypot(y - centre[0], x - centre[1])
    coverage = (distance < radius).astype(float)
    edge = np.abs(distance - radius) < 1
    part = (np.arange(fine) + 0.5) / fine - 0.5
    dy, dx = (y[edge] - centre[0])[:, None, None] + part[:, None], (x[edge] - centre[1])[:, None, None] + part
    coverage[edge] = (np.hypot(dy, dx) < radius).mean(axis=(1, 2))
    return coverage
