"""A spectrum image and an image on its grid: each place's spectrum from its surroundings, and these from its spectrum.

The map is cut into squares of two halves; each half is answered by what was learned from the other one, so that every
answer is of a place that was not learned from.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from micrograph.core import BadInput, Frame, Prediction, Recording
from micrograph.features.layers.latent import nearest
from micrograph.features.objects.overlap import best_overlap
from micrograph.features.spectra.spectra_tables import KINDS, LATENT, SCORES
from micrograph.features.spectra.spectral_basis import (
    noise_of,
    peak_of,
    spectral_basis,
    within,
    without_spikes,
)
from micrograph.infer.image_beside import image_beside
from micrograph.infer.map_halves import Plan, Rows, Start, Surroundings, learned_half, read_masks
from micrograph.infer.patterns import Progress

Array = NDArray[np.float64]

#: With fewer places than this nothing can be learned.
LEAST = 64
#: Places that are named as alike to each.
ALIKE = 3
#: Draws by which the 1-sigma of a peak's energy is found.
_DRAWS = 24
#: A peak counts where it stands out of the noise of a channel this many times.
_CLEAR = 5.0


@dataclass(frozen=True)
class SpectraFromImage:
    """How spectra and image are learned from each other.

    image: what is beside the spectra: the name of another signal in the file, or a file; '0:3' for the sum of these
    channels, which then are not told; without it an image of the same places in the file, else the sum of the zero-loss
    peak, else that of all channels. block: side (places) of the squares into which the map is cut; reach: how far
    (places) surroundings reach; start: 'plasmons' begins from what metal particles in the image would lose (their modes
    are those of coupled dipoles), 'none' does not, 'auto' takes what answers better inside the half that is learned
    from; most: components of a spectrum, at most; outliers: values farther than so many times the scatter of their
    channel are brought to there (0: none are).
    """

    image: str = ""
    block: int = 4
    reach: int = 8
    start: Start = "auto"
    most: int = 10
    outliers: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse sizes that make no sense."""
        if min(self.block, self.reach, self.most) < 1:
            raise ValueError("block, reach and most must be at least 1.")

    def presented(self, recording: Recording) -> Recording:
        """Return the whole spectrum image as one frame (Y, X, E)."""
        if recording.calibration.content != "spectra" or len(recording.shape) != 2:
            return recording
        first, last = recording.indices.start, recording.indices.stop
        return replace(
            recording,
            read=lambda index: np.asarray(recording.many(first, last), np.float32),
            indices=range(1),
            shape=(last - first, *recording.shape),
            block=None,
            known=None,
            nav_shape=(),
            metadata={**recording.metadata, "first_line": first},
        )

    def prepared(self, recording: Recording, progress: Progress | None = None) -> MapPredictor:
        """Return the predictor of a map, which learns when it is asked, in seconds.

        Raises `BadInput` where there is too little to learn from, or no image.
        """
        down, across, number = recording.shape
        if min(down, across) < 2 or down * across < LEAST:
            raise BadInput(
                f"The recording holds spectra of {down} x {across} places: a map of at least {LEAST} places is needed "
                "to learn from."
            )
        axis = recording.calibration.signal_axis
        energy = np.arange(number, dtype=np.float64)
        energy = energy if axis is None else np.asarray(axis.offset + axis.scale * energy, np.float64)
        unit = "channel" if axis is None else axis.unit
        image, kept, notes = image_beside(self.image, recording, energy, unit, self.outliers)
        if kept.sum() < 8:
            raise BadInput(f"Only {kept.sum()} channels are left to tell: give fewer of them as the image.")
        if progress is not None:
            progress(0, 1, f"learning from {image.size // 2} of {image.size} places, twice")
        plan = self._plan(recording.calibration.step_nm)
        said = repr((self, plan)).encode() + np.ascontiguousarray(image).tobytes()
        return MapPredictor(
            image,
            kept,
            energy[kept],
            unit,
            (self.block, self.outliers),
            plan,
            notes,
            "sha256:" + hashlib.sha256(said).hexdigest(),
        )

    def _plan(self, step_nm: float | None) -> Plan:
        if self.start == "plasmons" and step_nm is None:
            raise BadInput('To look for particles the step of the map is needed: give it with --scan-step "2 nm".')
        step = None if self.start == "none" else step_nm
        return Plan(self.reach, self.most, self.start, self.seed, step, self.outliers > 0)


@dataclass(frozen=True)
class MapPredictor:
    """A spectrum image (Y, X, E) to what its image (Y, X) says of its spectra and the other way about.

    channels (E,): which are told; energy of these in `unit`; cut: side of the squares, and how far outliers may lie.
    `Prediction.values`: see `Answers`.
    """

    image: Array
    channels: NDArray[np.bool_]
    energy: Array
    unit: str
    cut: tuple[int, float]
    plan: Plan
    notes: tuple[str, ...]
    digest: str

    def bytes_per_frame(self, shape: tuple[int, ...], pixel_nm: float | None) -> int:
        """Return about how many bytes the map takes: six copies in double precision, and the processes."""
        return int(48 * self.image.size * len(self.energy) + 1e8)

    def __call__(self, frame: Frame) -> Prediction:
        """Return the answers on all places."""
        shape = (self.image.shape[0], self.image.shape[1])
        raw = np.nan_to_num(frame.data[..., self.channels].reshape(self.image.size, -1).astype(float))
        spectra, spikes = without_spikes(raw)
        spectra = within(spectra, self.cut[1])
        noise = noise_level(raw, spectra)
        seen = Surroundings.of(self.image, self.plan)
        found = Answers.empty(spectra.shape, seen.mask.shape)
        half = halves_of(shape, min(self.cut[0], max(1, min(shape) // 2)))
        for side in (0, 1):
            found.answer(seen, spectra, noise, np.flatnonzero(half != side), np.flatnonzero(half == side), self.plan)
        return found.prediction(self, frame, Measured(spectra, noise, float(spikes.mean()), half), seen)


def halves_of(shape: tuple[int, int], block: int) -> NDArray[np.int_]:
    """Return which half (Y * X,) each place belongs to: squares of `block` places, as on a chess board."""
    y, x = np.indices(shape) // block
    return ((y + x) % 2).ravel()


def noise_level(raw: Array, spectra: Array) -> Array:
    """Return the 1-sigma (E,) of single channels: Poisson's where `raw` holds counts, else as they scatter."""
    some = raw.reshape(-1)[:: max(1, raw.size // 100_000)]
    if some.min() >= 0 and some.max() > 1 and np.all(some == np.round(some)):
        return np.asarray(np.sqrt(np.maximum(spectra.mean(axis=0), 1.0)))
    return noise_of(spectra)


@dataclass(frozen=True)
class Measured:
    """What was recorded: spectra (N, E) without spikes, of which there was a share; noise (E,); halves (N,)."""

    spectra: Array
    noise: Array
    spikes: float
    half: NDArray[np.int_]


@dataclass(frozen=True)
class Answers:
    """Answers on all N places, each by the half that it does not belong to.

    predicted (N, E) with sigma of what is expected there, and scatter, sigma of what would be measured; the spectra of
    the place whose surroundings are most alike, and the mean, (N, E); masks told by spectra (N, R, P), by the nearest
    spectrum, and the mean; the 1-sigma of the peak (N,); the kinds of numbers that were chosen.
    """

    predicted: Array
    sigma: Array
    scatter: Array
    nearest: Array
    mean: Array
    masks: Array
    nearest_masks: Array
    mean_masks: Array
    chosen: list[str]

    @staticmethod
    def empty(spectra: tuple[int, ...], masks: tuple[int, ...]) -> Answers:
        """Return answers that are to be filled."""
        told, nearest, mean = (np.zeros(masks) for _ in range(3))
        a, b, c, d, e = (np.zeros(spectra) for _ in range(5))
        return Answers(a, b, c, d, e, told, nearest, mean, [])

    def answer(self, seen: Surroundings, spectra: Array, noise: Array, learn: Rows, asked: Rows, plan: Plan) -> None:
        """Fill in what `learn` says of `asked`."""
        from scipy.spatial import cKDTree

        one = learned_half(seen, spectra, learn, noise, plan)
        mean, variance = one.told(seen, asked)
        basis = one.basis
        self.predicted[asked] = basis.spectra(mean)
        expected = np.maximum(variance - 1.0, 0.05 * variance)  # the noise of a coefficient that was measured is 1
        self.sigma[asked] = basis.sigma(expected)
        self.scatter[asked] = np.sqrt(basis.sigma(expected) ** 2 + basis.noise**2)
        _, alike = cKDTree(one.numbers(seen, learn)).query(one.numbers(seen, asked))
        self.nearest[asked], self.mean[asked] = spectra[learn][alike], basis.centre
        found = read_masks(spectra[learn], noise, seen.mask[learn], spectra[asked], seen.radii, plan)
        self.masks[asked], self.nearest_masks[asked] = found
        self.mean_masks[asked] = seen.mask[learn].mean(axis=0)
        self.chosen.append(one.kind)

    def prediction(self, model: MapPredictor, frame: Frame, measured: Measured, seen: Surroundings) -> Prediction:
        """Return the prediction: arrays over places and scores as values, images as maps."""
        spectra, energy = measured.spectra, model.energy
        basis = spectral_basis(spectra, measured.noise, model.plan.most)
        latent = basis.coefficients(spectra)
        smooth = basis.spectra(latent)
        floor = np.quantile(smooth, 0.05, axis=0)
        peak, height = peak_of(smooth - floor, energy)
        clear = height > _CLEAR * float(np.median(measured.noise))
        told, _ = peak_of(self.predicted - floor, energy)
        others = [peak_of(part - floor, energy)[0] for part in (self.nearest, self.mean)]
        alike, apart = nearest(latent / np.sqrt(len(basis)), ALIKE)
        overlaps = [best_overlap(part > 0.5, seen.mask, seen.radii) for part in self._masks()]
        full = seen.mask.mean(axis=(1, 2)) > 0.02
        values = {
            "predicted": self.predicted,
            "sigma": self.sigma,
            "measured": spectra,
            "energy": energy,
            "noise": measured.noise,
            "half": measured.half.astype(float),
            "peak": np.stack([peak, told, self._peak_sigma(floor, energy)], axis=1),
            "clear": clear.astype(float),
            "latent": np.pad(latent, ((0, 0), (0, LATENT)))[:, :LATENT],
            "parts": basis.parts,
            "alike": alike.astype(float),
            "apart": apart,
            "overlap": np.stack(overlaps, axis=1),
            "full": full.astype(float),
            "scores": np.array(list(self.scores(measured, clear, (peak, told, *others), overlaps, full).values())),
            "shape": np.array(model.image.shape, float),
            "axis": np.array([float(model.unit == "eV")]),
            "image": model.image,
            "chosen": np.array([float(len(basis)), measured.spikes]),
            "told_by": np.array([float(KINDS.index(kind)) for kind in self.chosen]),
        }
        pitch = frame.calibration.step_nm or 1.0
        maps, sigma = self._images(model, values, pitch)
        return Prediction(frame, maps, sigma, pitch, notes=model.notes, values=values)

    def _masks(self) -> tuple[Array, Array, Array]:
        return self.masks, self.nearest_masks, self.mean_masks

    def scores(
        self,
        measured: Measured,
        clear: NDArray[np.bool_],
        peaks: tuple[Array, ...],
        overlaps: list[Array],
        full: NDArray[np.bool_],
    ) -> dict[str, float]:
        """Return the scores by name, see `features.spectra.spectra_tables.SUMMARY`."""
        spectra = measured.spectra
        total = float(np.sum((spectra - self.mean) ** 2)) or 1e-300
        left = [float(np.sum((part - spectra) ** 2)) for part in (self.predicted, self.nearest, self.mean)]
        pull = np.abs(self.predicted - spectra) / self.scatter
        peak, *told = peaks
        off = [float(np.mean(np.abs(one - peak)[clear])) if clear.any() else np.nan for one in told]
        over = [float(one[full].mean()) if full.any() else np.nan for one in overlaps]
        ceiling = 1 - float(np.sum(measured.noise**2)) * len(spectra) / total
        numbers = [1 - one / total for one in left[:2]] + [ceiling, *off]
        numbers += [float(np.mean(pull < 1)), float(np.mean(pull < 1.96)), *over]
        return dict(zip(SCORES, numbers, strict=True))

    def _peak_sigma(self, floor: Array, energy: Array) -> Array:
        """Return the 1-sigma (N,) of the peaks: over draws whose deviations are alike over a few channels."""
        from scipy.ndimage import gaussian_filter1d

        rng, found = np.random.default_rng(0), []
        for _ in range(_DRAWS):
            smooth = gaussian_filter1d(rng.standard_normal(self.sigma.shape), 4.0, axis=1)
            found.append(peak_of(self.predicted + self.sigma * smooth / float(smooth.std()) - floor, energy)[0])
        return np.asarray(np.std(found, axis=0))

    def _images(
        self, model: MapPredictor, values: dict[str, Array], pitch: float
    ) -> tuple[dict[str, NDArray[np.float32]], dict[str, NDArray[np.float32]]]:
        """Return maps of the latent numbers, the peak, the brightness and how well the spectra were told."""
        shape = model.image.shape

        def of(part: Array) -> NDArray[np.float32]:
            return np.asarray(np.nan_to_num(part.reshape(shape)), np.float32)

        maps = {f"latent_{number + 1}": of(values["latent"][:, number]) for number in range(LATENT)}
        maps["peak"], maps["peak_measured"] = of(values["peak"][:, 1]), of(values["peak"][:, 0])
        maps["error"] = of(np.sqrt(np.mean((self.predicted - values["measured"]) ** 2, axis=1)))
        return maps, {"peak": of(values["peak"][:, 2])}


#: Names of the maps.
IMAGES = (*(f"latent_{number + 1}" for number in range(LATENT)), "peak", "peak_measured", "error")
