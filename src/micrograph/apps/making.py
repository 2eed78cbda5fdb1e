"""The jobs that make something: labelled images, and weights for a user's own structure and microscope."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

from micrograph.apps.jobs import Advance, silent
from micrograph.core import BadInput, Sampler, parse_positive
from micrograph.core.provenance import made_folder

if TYPE_CHECKING:
    from micrograph.nets import Checkpoint, EncoderSpec, NetSpec
    from micrograph.run import Recipe
    from micrograph.share import About

#: Pixel sizes (nm) at which columns can be told apart and an image keeps a bearable size.
PIXELS_NM = (0.003, 0.06)
#: Voltages (kV) of electron microscopes.
VOLTAGES_KV = (10.0, 1500.0)
#: A model for one pixel size is trained for so much more and less.
PIXEL_SPREAD = 1.25
#: Steps for one material: less to learn than any lattice; about ten minutes on a laptop.
OWN_MATERIAL_STEPS = 1500


@dataclass(frozen=True)
class Material:
    """A user's own structure and microscope, as given on the command line; all ``None``: the recipe's own."""

    structure: Path | None = None
    zone_axis: str = "001"
    voltage: str | None = None
    pixel_size: str | None = None

    @property
    def given(self) -> bool:
        """Whether anything narrows the recipe's own range."""
        return any((self.structure, self.voltage, self.pixel_size))

    def as_dict(self) -> dict[str, str | None]:
        """Return plain values for the card of the weights."""
        return {
            "structure": self.structure.name if self.structure else None,
            "zone_axis": self.zone_axis,
            "voltage": self.voltage,
            "pixel_size": self.pixel_size,
        }


def own_sampler(recipe: Recipe, material: Material) -> Sampler:
    """Return the recipe's sampler, narrowed to the user's structure, voltage and pixel size where given.

    A structure is tried once, so that one that cannot be read is refused at once and not by a training that runs.
    """
    from micrograph.run import Learner, Preparer, Searcher, SelfTaught
    from micrograph.simulate import StemSampler

    sampler = recipe.data
    if isinstance(sampler, Learner | Searcher | Preparer | SelfTaught):
        raise BadInput(
            f"Recipe '{recipe.name}' simulates nothing: it learns from each recording when that is analysed."
        )
    if not material.given:
        return sampler
    if not isinstance(sampler, StemSampler):
        raise BadInput(f"Recipe '{recipe.name}' simulates nothing that --structure, --voltage or --pixel-size change.")
    if material.structure is not None:
        from micrograph.recipes.atoms import OwnStructure

        if not any("atom" in head.labels for head in recipe.model.heads):
            raise BadInput(f"Recipe '{recipe.name}' has a material of its own: give --structure with recipe 'atoms'.")
        sampler = replace(sampler, structure=OwnStructure(material.structure, material.zone_axis))
    if material.voltage is not None:
        voltage = _within(material.voltage, "kV", VOLTAGES_KV, "--voltage")
        sampler = replace(sampler, voltage_kV=(voltage, voltage))
    if material.pixel_size is not None:
        pixel = _within(material.pixel_size, "nm", PIXELS_NM, "--pixel-size")
        sampler = replace(sampler, pixel_nm=(pixel / PIXEL_SPREAD, pixel * PIXEL_SPREAD))
    if material.structure is not None:
        sampler(np.random.default_rng(0))
    return sampler


def _within(text: str, unit: str, limits: tuple[float, float], name: str) -> float:
    """Return `text` in `unit`; refuse what lies outside `limits`."""
    value = parse_positive(text, unit, name=name)
    if not limits[0] <= value <= limits[1]:
        raise BadInput(f"{name} is '{text}': it must lie between {limits[0]:g} and {limits[1]:g} {unit}.")
    return value


def simulate(
    name: str, material: Material, number: int, out: Path, *, seed: int = 0, progress: Advance = silent
) -> None:
    """Write `number` labelled images (`micrograph.io.write_sample`), called ``image-00000`` and so on, into `out`.

    Image i follows from `seed` and i alone.
    """
    from micrograph.io import write_sample
    from micrograph.recipes import find_recipe

    sampler = own_sampler(find_recipe(name), material)
    made_folder(out)
    for index in range(number):
        rng = np.random.default_rng(np.random.SeedSequence([seed, index]))
        write_sample(sampler(rng), out / f"image-{index:05d}")
        progress(index + 1, number, "")


def train_model(
    name: str,
    material: Material,
    out: Path,
    *,
    steps: int | None = None,
    seed: int = 0,
    net: Path | None = None,
    devices: str = "1",
    resume: bool = True,
    begin_from: str | Path | None = None,
    progress: Advance = silent,
) -> Checkpoint:
    """Train a recipe's model on its sampler, narrowed to `material`, and write weights with their card to `out`.

    It begins from the weights `begin_from`, by name or path, or from those that the recipe names. net: a file that
    says how the network is built; devices: how many share each batch, a number or 'auto'.
    """
    from micrograph.recipes import find_recipe
    from micrograph.run.learning import Begun

    recipe = find_recipe(name)
    check_weights_path(out)
    if isinstance(recipe.data, Begun) and not material.given:
        if devices != "1" or net is not None:
            raise BadInput(f"Recipe '{name}' trains a network of its own on one device: leave --devices and --net out.")
        made_folder(out.parent)
        return recipe.data.begun(out, steps, seed, progress)
    sampler = own_sampler(recipe, material)
    made_folder(out.parent)
    from micrograph.nets import NoNet
    from micrograph.nets.prototype_spec import PrototypeSpec
    from micrograph.train import TrainSettings, train

    if isinstance(recipe.model, NoNet | PrototypeSpec):
        raise BadInput(f"Recipe '{name}' has no network: there is nothing to train.")
    model = recipe.model if net is None else built_as(recipe.model, net)
    settings = replace(recipe.training or TrainSettings(), seed=seed)
    settings = replace(settings, devices=_devices(devices, settings.batch))
    domain = getattr(sampler, "domain", None)
    if steps is None and material.structure is not None:
        steps = OWN_MATERIAL_STEPS
    return train(
        sampler,
        model,
        settings if steps is None else replace(settings, steps=steps),
        out,
        resume=resume,
        progress=lambda done, total, loss: progress(done, total, f"loss {loss:.4f}"),
        card={"recipe": name, "domain": domain() if domain else {}, "material": material.as_dict()},
        begin_from=begin_from or recipe.begins_from,
    )


def built_as(spec: NetSpec | EncoderSpec, path: Path) -> NetSpec:
    """Return a U-Net that answers as `spec` does and is built as a file says; raises `BadInput` for another file."""
    from micrograph.nets import NetSpec

    if not isinstance(spec, NetSpec):
        raise BadInput("The network of this recipe answers on whole frames: --net is for those that give maps.")
    try:
        body = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadInput(f"{path} describes no network ({error}): give the net.json of micrograph search.") from error
    if not isinstance(body, dict) or set(body) != set(spec.body):
        raise BadInput(
            f"{path} describes no network: it must say {', '.join(spec.body)}, as net.json of a search does."
        )
    return replace(spec, **body)


def _devices(text: str, batch: int) -> int:
    """Return how many devices are to share batches."""
    from micrograph.train.devices import most_devices

    if text == "auto":
        return most_devices(batch)
    if not text.isdigit():
        raise BadInput(f"--devices is '{text}': give a number, or 'auto' for all GPUs.")
    return int(text)


def check_weights_path(path: Path) -> None:
    """Refuse a file for weights that is none."""
    if path.suffix != ".safetensors":
        raise BadInput(f"The weights file is '{path.name}': give a name that ends in .safetensors.")
    if path.is_dir():
        raise BadInput(f"{path} is a folder: give the name of a file for the weights.")


def model_card(weights: str, out: Path, about: About, *, seed: int = 0) -> Path:
    """Write the weights of a recipe, or weights by name or file, as a model for bioimage.io; return its description.

    The image to try it with is one that the recipe simulates for training. Raises `BadInput` where the recipe has no
    weights, or the weights are of a kind that cannot be exported.
    """
    from micrograph.nets import find_weights, read_card
    from micrograph.recipes import RECIPES, find_recipe
    from micrograph.share.model_card import write_model_card

    if weights in RECIPES:
        named = find_recipe(weights).model.weights
        if named is None:
            raise BadInput(f"Recipe '{weights}' has no shipped weights: give another, or a weights file.")
        weights = named
    recipe = find_recipe(str(read_card(find_weights(weights)).get("recipe", "")))
    if recipe.learner is not None:
        raise BadInput(f"Recipe '{recipe.name}' learns from each recording: its weights are of no use to others.")
    sample = cast(Sampler, recipe.data)(np.random.default_rng(seed))
    return write_model_card(weights, recipe, sample, out, about)
