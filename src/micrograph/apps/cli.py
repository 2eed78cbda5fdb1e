"""The command line: one verb a task, every error one sentence, exit status 2 for input that cannot be used."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Optional

import typer

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Machine-learning analysis of microscope recordings: calibrated tables, pictures and a report.",
)

RecipeName = Annotated[str, typer.Argument(metavar="RECIPE", help="A name from 'micrograph recipes'.")]
Out = Annotated[Path, typer.Option("-o", "--out", help="Folder that receives the results.")]
PixelSize = Annotated[Optional[str], typer.Option(help='Size of a pixel, for example "0.0176 nm"; overrides the file.')]
Device = Annotated[str, typer.Option(help="cpu, cuda or auto.")]
Settings = Annotated[Optional[list[str]], typer.Option("--set", metavar="KEY=VALUE", help="Change a recipe's setting.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar.")]


@app.callback()
def options(debug: Annotated[bool, typer.Option("--debug", help="Show a traceback on errors.")] = False) -> None:
    """Hold the options of all commands (`main` reads --debug from the command line itself)."""


@app.command()
def demo(out: Out = Path("micrograph-demo"), quiet: Quiet = False) -> None:
    """Run the main job on a real HAADF image of Se-implanted MoS2 and write a report."""
    from micrograph.apps import jobs, screen

    with screen.progress("analysing", quiet) as advance:
        done = jobs.demo(out, advance)
    screen.summary(done)


@app.command()
def recipes(name: Annotated[Optional[str], typer.Argument(help="Show this recipe's card.")] = None) -> None:
    """List the recipes, or show one recipe's card with its measured numbers."""
    from micrograph.apps import screen
    from micrograph.recipes import RECIPES, find_recipe

    if name is None:
        screen.catalogue([find_recipe(known) for known in RECIPES])
    else:
        screen.card(find_recipe(name))


@app.command()
def info(path: Annotated[Path, typer.Argument(help="File or folder.")]) -> None:
    """Show what is in a file, with its calibration."""
    from micrograph.apps import screen
    from micrograph.io import describe

    screen.signals(path, describe(path))


@app.command()
def analyze(
    recipe: RecipeName,
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="Files or folders.")],
    out: Out,
    pixel_size: PixelSize = None,
    frame_time: Annotated[Optional[str], typer.Option(help='Time of a frame, for example "0.5 s".')] = None,
    frames: Annotated[Optional[str], typer.Option(help="First and end frame, for example 0:100.")] = None,
    signal: Annotated[Optional[str], typer.Option(help="Signal in the file, by name or number.")] = None,
    weights: Annotated[Optional[list[Path]], typer.Option(help="Own weights; repeat for an ensemble.")] = None,
    device: Device = "auto",
    memory: Annotated[Optional[str], typer.Option(help='Memory budget, for example "2 GB".')] = None,
    maps: Annotated[bool, typer.Option("--maps", help="Keep the network's maps too.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on after a crash.")] = False,
    set_: Settings = None,
    quiet: Quiet = False,
) -> None:
    """Analyse recordings: tables of every object with errors and flags, pictures, a report."""
    from micrograph.apps import jobs, screen

    request = jobs.Request(
        recipe=recipe,
        out=out,
        pixel_size=pixel_size,
        frame_time=frame_time,
        frames=frames,
        signal=signal,
        weights=tuple(weights or ()),
        device=device,
        memory=memory,
        maps=maps,
        resume=resume,
        settings=jobs.parse_settings(set_ or []),
    )
    for path in paths:
        with screen.progress(path.name, quiet) as advance:
            done = jobs.analyze_path(path, request, into=out if len(paths) == 1 else out / path.stem, progress=advance)
        screen.summary(done)


@app.command()
def simulate(
    recipe: RecipeName,
    out: Out,
    number: Annotated[int, typer.Option("-n", min=1, help="How many images.")] = 10,
    structure: Annotated[Optional[Path], typer.Option(help="Own structure (CIF, XYZ).")] = None,
    zone_axis: Annotated[str, typer.Option(help="Beam direction in the crystal.")] = "001",
    voltage: Annotated[Optional[str], typer.Option(help='For example "200 kV".')] = None,
    pixel_size: PixelSize = None,
    seed: Annotated[int, typer.Option(help="Seed of the random numbers.")] = 0,
    quiet: Quiet = False,
) -> None:
    """Write labelled images, for any training tool: TIFF, sites as CSV, masks."""
    from micrograph.apps import jobs, screen

    own = jobs.Material(structure, zone_axis, voltage, pixel_size)
    with screen.progress("simulating", quiet) as advance:
        jobs.simulate(recipe, own, number, out, seed=seed, progress=advance)
    screen.say(f"{number} labelled images are in {out}")


@app.command()
def train(
    recipe: RecipeName,
    out: Annotated[Path, typer.Option("-o", "--out", help="Weights file to write (.safetensors).")],
    structure: Annotated[Optional[Path], typer.Option(help="Own structure (CIF, XYZ).")] = None,
    zone_axis: Annotated[str, typer.Option(help="Beam direction in the crystal.")] = "001",
    voltage: Annotated[Optional[str], typer.Option(help='For example "200 kV".')] = None,
    pixel_size: PixelSize = None,
    steps: Annotated[Optional[int], typer.Option(min=1, help="Training steps; default: the recipe's.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the random numbers.")] = 0,
    resume: Annotated[bool, typer.Option(help="Go on from the checkpoint of an earlier run.")] = True,
    quiet: Quiet = False,
) -> None:
    """Train a recipe's model, for its own range of samples or for your structure and microscope."""
    from micrograph.apps import jobs, screen

    own = jobs.Material(structure, zone_axis, voltage, pixel_size)
    with screen.progress("training", quiet) as advance:
        checkpoint = jobs.train_model(recipe, own, out, steps=steps, seed=seed, resume=resume, progress=advance)
    screen.trained(out, checkpoint)


@app.command()
def validate(
    recipe: RecipeName,
    weights: Annotated[Optional[list[Path]], typer.Option(help="Own weights instead of the shipped ones.")] = None,
    only: Annotated[Optional[str], typer.Option(help="Only the checks whose name contains this text.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the random numbers.")] = 0,
    record: Annotated[bool, typer.Option("--record", help="Store the numbers in the card of the shipped weights.")] = False,
    quiet: Quiet = False,
) -> None:
    """Measure a recipe against its bars: number, bound, physical limit, classical baseline."""
    from micrograph.apps import jobs, screen

    with screen.progress("validating", quiet) as advance:
        results = jobs.validate(recipe, tuple(weights or ()), only=only, seed=seed, record=record, progress=advance)
    screen.checks(recipe, results)


@app.command()
def new(
    name: Annotated[str, typer.Argument(help="Name of the recipe, in lower case with hyphens.")],
    folder: Annotated[Path, typer.Option(help="Where to write the file.")] = Path("."),
) -> None:
    """Write a blank recipe to fill in."""
    from micrograph.apps import jobs, screen

    screen.say(f"{jobs.blank_recipe(name, folder)} is ready: fill in its five parts (see CONTRIBUTING.md).")


def main() -> None:
    """Run the command line; turn every error into one sentence and an exit status."""
    import click

    from micrograph.core.errors import MicrographError

    debug = "--debug" in sys.argv
    try:
        status = app(standalone_mode=False)
        sys.exit(status if isinstance(status, int) else 0)
    except click.exceptions.Abort:
        _stop("stopped; what was finished is kept (--resume goes on).", 130)
    except click.ClickException as error:
        _stop(error.format_message(), 2)
    except KeyboardInterrupt:
        _stop("stopped; what was finished is kept (--resume goes on).", 130)
    except MicrographError as error:
        if debug:
            raise
        _stop(str(error), 2)
    except Exception as error:
        if debug:
            raise
        _stop(f"an error inside micrograph ({type(error).__name__}: {error}); run again with --debug and report it.", 1)


def _stop(sentence: str, status: int) -> None:
    """Print one sentence on standard error and leave."""
    sys.stderr.write(f"micrograph: {sentence}\n")
    sys.exit(status)
