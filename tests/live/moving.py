"""A running analysis that nobody runs: particles that move, with outlines, tracks, a log and doubts, for the page."""

import threading

import numpy as np
import pandas as pd

from micrograph.core import Flag
from micrograph.live.shown import State

SHAPES = ("round", "square", "triangle", "rod")
NEW_PARTICLE = "more than 110 particles"
SCALES = (
    ("pixel_nm", "pixel size", "0.0176 nm"), ("frame_time_s", "frame time", "0.1 s"),
    ("voltage_kV", "voltage", "80 kV"), ("dose_e_per_A2", "dose of a frame", "1e4 e/angstrom^2"),
)  # fmt: skip


class Moving:
    """Particles on `side` x `side` pixels that move and shrink; `frames` frames are done, `advance` adds one."""

    def __init__(self, frames=40, particles=120, side=512, seed=0, corners=48):
        self._rng = np.random.default_rng(seed)
        self.side, self.pixel_nm, self.corners = side, 0.25, corners
        self.radius = self._rng.uniform(6, 16, particles)
        self.start = self._rng.uniform(20, side - 20, (particles, 2))
        self.speed = self._rng.normal(0, 0.6, (particles, 2))
        self.wave = self._rng.uniform(0, 2 * np.pi, (particles, 2))
        self.shape = self._rng.integers(0, len(SHAPES), particles)
        self.last = frames - 1
        self.running = True
        self.fired = [{"rule": NEW_PARTICLE, "frame": 12, "t_s": 6.0, "action": "note", "outcome": "noted"}]
        self.lock = threading.Lock()
        self._backdrop = self._rng.normal(0, 1, (side, side)).astype(np.float32)
        self.reads = 0

    def advance(self):
        self.last += 1

    @property
    def state(self):
        notes = ["The pixel size is the file's: 0.25 nm."]
        if self.last >= 30:
            notes.append("Frames 30 to 33 look unlike the images that the model was trained on: check them by eye.")
        return State(
            recipe="particle-shapes", title="Shapes and sizes of nanoparticles", source="folder:/data/heating",
            frames=(0, self.last) if self.last >= 0 else None, running=self.running, pixel_nm=self.pixel_nm,
            shape=(self.side, self.side),
            counters={
                "received": self.last + 4, "done": self.last + 1, "dropped": 2, "lost": 0, "bad": 0, "waiting": 1,
                "latency_ms": 84.3, "latency_p95_ms": 131.0, "frames_per_s": 4.2,
            },
            units={
                "frames.t_s": "s", "frames.covered": "%", "summary.mean_area_nm2": "nm^2", "objects.area_nm2": "nm^2",
                "objects.y_nm": "nm", "objects.x_nm": "nm", "frames.temperature_C": "degC", "frames.bias_V": "V",
            },
            notes=tuple(notes), fired=tuple(self.fired),
        )  # fmt: skip

    @property
    def tables(self):
        return ("frames", "objects", "outlines", "summary", "tracks")

    def places(self, frame):
        place = self.start + self.speed * frame + 3 * np.sin(0.3 * frame + self.wave)
        radius = self.radius * np.exp(-0.004 * frame)
        return 15 + np.abs((place - 15) % (2 * (self.side - 30)) - (self.side - 30)), radius

    def image(self, frame):
        if not 0 <= frame <= self.last:
            return None
        self.reads += 1
        y, x = np.mgrid[: self.side, : self.side].astype(np.float32)
        image = 400 + 60 * np.sin(x / 90) + 25 * np.roll(self._backdrop, 37 * frame, (0, 1)[frame % 2])
        for (cy, cx), radius in zip(*self.places(frame), strict=True):
            reach = int(radius * 1.4) + 2
            cut = (
                slice(max(0, int(cy) - reach), int(cy) + reach + 1),
                slice(max(0, int(cx) - reach), int(cx) + reach + 1),
            )
            inside = np.clip(radius + 0.5 - np.hypot(y[cut] - cy, x[cut] - cx), 0, 1)
            image[cut] -= 180 * inside
        return image.astype(np.float32) if frame < 30 else (0.6 * image).astype(np.float32)

    def table(self, name, frame=None):
        make = {
            "frames": self._frames,
            "objects": self._objects,
            "outlines": self._outlines,
            "summary": self._summary,
            "tracks": self._tracks,
        }.get(name)
        if make is None or self.last < 0:
            return pd.DataFrame()
        table = make(frame)
        return table if frame is None else table[table["frame"] == frame].reset_index(drop=True)

    def _numbers(self):
        return np.arange(self.last + 1)

    def _frames(self, frame):
        number = self._numbers()
        flags = np.where((number >= 30) & (number < 34), int(Flag.OUT_OF_DOMAIN), 0)
        radius = np.array([self.places(k)[1] for k in number])
        return pd.DataFrame({
            "frame": number, "count": (radius > 5.5).sum(axis=1),
            "covered": 100 * (np.pi * radius**2).sum(axis=1) / self.side**2,
            "flags": flags, "notes": "", "domain_distance": 0.4 + 0.1 * np.sin(number) + 0.9 * (flags > 0),
            "t_s": 0.5 * number, "temperature_C": 350 + 2.5 * number, "bias_V": np.where(number % 20 < 10, 0.0, 1.5),
        })  # fmt: skip

    def _summary(self, frame):
        number = self._numbers()
        area = np.array([np.pi * np.mean((self.places(k)[1] * self.pixel_nm) ** 2) for k in number])
        return pd.DataFrame({
            "frame": number, "t_s": 0.5 * number, "mean_area_nm2": area, "mean_area_sigma_nm2": 0.03 * area,
            "round_share": 0.3 + 0.002 * number, "round_share_low": 0.22 + 0.002 * number,
            "round_share_high": 0.39 + 0.002 * number,
        })  # fmt: skip

    def _objects(self, frame):
        frame = self.last if frame is None else frame
        if not 0 <= frame <= self.last:
            return pd.DataFrame({"frame": pd.Series(dtype="int64")})
        place, radius = self.places(frame)
        number = np.arange(len(radius))
        return pd.DataFrame({
            "frame": frame, "id": number + 1, "y_nm": place[:, 0] * self.pixel_nm, "x_nm": place[:, 1] * self.pixel_nm,
            "area_nm2": np.pi * (radius * self.pixel_nm) ** 2, "area_sigma_nm2": 0.4,
            "circularity": np.where(number % 9 == 4, np.nan, 0.9), "shape": np.array(SHAPES)[self.shape],
            "flags": np.where(number % 17 == 3, int(Flag.EDGE), 0), "track": number,
        })  # fmt: skip

    def _outlines(self, frame):
        frame = self.last if frame is None else frame
        if not 0 <= frame <= self.last:
            return pd.DataFrame({"frame": pd.Series(dtype="int64")})
        place, radius = self.places(frame)
        angle = np.linspace(0, 2 * np.pi, self.corners, endpoint=False)
        shape = (1 + 0.06 * np.cos(self.shape[:, None] * 1.0 * angle)) * radius[:, None]
        y = (place[:, :1] + shape * np.sin(angle)) * self.pixel_nm
        x = (place[:, 1:] + shape * np.cos(angle)) * self.pixel_nm
        ids = np.repeat(np.arange(len(radius)) + 1, self.corners)
        points = np.tile(np.arange(self.corners), len(radius))
        return pd.DataFrame({"frame": frame, "id": ids, "point": points, "y_nm": y.ravel(), "x_nm": x.ravel()})

    def _tracks(self, frame):
        parts = [self._objects(k)[["track", "frame", "y_nm", "x_nm", "shape"]] for k in self._numbers()]
        return pd.concat(parts, ignore_index=True)


class FakeJob:
    """A job that is done after it was asked for its progress a few times."""

    def __init__(self, shown, report):
        from micrograph.live.web.lab import Progress

        self._shown, self._report, self._asked, self._stopped, self._said = shown, report, 0, False, Progress

    @property
    def _over(self):
        return self._asked > 2

    @property
    def progress(self):
        self._asked += 1
        if self._stopped:
            return self._said(ended="stopped", note="Stopped.")
        return self._said(min(self._asked, 3), 3, f"{self._asked * 40} objects", "done" if self._over else "")

    @property
    def shown(self):
        return self._shown if self._over else None

    @property
    def report(self):
        return self._report if self._over else None

    @property
    def takes_labels(self):
        return True

    @property
    def suggestions(self):
        return None

    def thumbnail(self, rank):
        return None

    def stop(self):
        self._stopped = True


class FakeSuggesting(FakeJob):
    """A job that suggests one frame."""

    @property
    def shown(self):
        return None

    @property
    def report(self):
        return None

    @property
    def suggestions(self):
        from micrograph.live.web.lab import Suggestion, Suggestions

        found = (Suggestion(1, 7, "a-frame-00007.tif", "its doubt is 2 times the mean"),)
        return Suggestions("1 image is in next.", "micrograph train particle-shapes --labels next", found)

    def thumbnail(self, rank):
        import io

        from PIL import Image

        picture = io.BytesIO()
        Image.new("L", (8, 8)).save(picture, "PNG")
        return picture.getvalue() if rank == 1 else None


class FakeLab:
    """A lab that finds every file full of particles."""

    def __init__(self, root):
        from micrograph.live.web.lab import Proposal

        self.ran = []
        self.root = root
        self.report = root / ".report.html"
        self.report.write_text("<!doctype html><title>Report</title><h1>Report of particles</h1>")
        self.opened = []
        self._proposal = Proposal

    def open(self, path, given):
        from micrograph.core import BadInput, parse_positive
        from micrograph.live.web.lab import Proposals, Scale

        if path.suffix == ".txt":
            raise BadInput(f"{path.name} is a text: a recording was expected; choose one.")
        self.opened.append(path)
        pixel = given.calibration.get("pixel_nm", "" if path.stem.startswith("bare") else "0.25 nm")
        missing = () if pixel else ("pixel_nm",)
        reason = "It needs the pixel size, which the file does not say: enter it above."
        if pixel:
            nm = parse_positive(pixel, "nm", name="pixel size")
            reason = f"Bright-field image, {nm:g} nm a pixel: like those that its model knows."
        file = "" if path.stem.startswith("bare") else "0.25 nm"
        yield Proposals(
            path.name,
            {"frames": "12", "image": "512 x 512 pixels"},
            (
                self._proposal("particle-shapes", "Shapes and sizes of nanoparticles", reason, not missing,
                               0.3 if pixel else None, missing),
                self._proposal("atoms", "Atomic columns",
                               "The pixels are too large to tell columns apart: give 0.02 nm or less.", False, 2.4),
            ),
            tuple(Scale(name, label, file * (name == "pixel_nm"), given.calibration.get(name, ""), example)
                  for name, label, example in SCALES),
        )  # fmt: skip

    def run(self, recipe, path, given):
        from micrograph.core import BadInput

        if path.stem.startswith("bare") and "pixel_nm" not in given.calibration:
            raise BadInput(f"Recipe '{recipe}' needs the pixel size, which {path.name} does not say: enter it.")
        self.ran.append((recipe, path.name, dict(given.calibration)))
        shown = Moving(12, 30)
        shown.running = False
        return FakeJob(shown, self.report)

    def suggest(self, recipe, path, given):
        return FakeSuggesting(None, None)
