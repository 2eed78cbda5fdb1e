"""The command line: one verb a task, every error one sentence, exit status 2 for input that cannot be used."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from micrograph.apps import cli_domains, cli_nets, cli_sharing, leaving
from micrograph.apps.options import Out, PixelSize, Quiet, RecipeName, Resume, Voltage, asking

if TYPE_CHECKING:
    from micrograph.apps.requests import Request

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Machine-learning analysis of microscope recordings: calibrated tables, pictures and a report.",
)

Seed = Annotated[int, typer.Option(min=0, help="Seed of the random numbers.")]
Structure = Annotated[Path | None, typer.Option(help="Own structure (CIF, XYZ), for recipe 'atoms'.")]
ZoneAxis = Annotated[str, typer.Option(help="Beam direction in the crystal.")]


@app.callback(invoke_without_command=True)
def options(
    context: typer.Context,
    debug: Annotated[bool, typer.Option("--debug", help="Show warnings and tracebacks; may stand anywhere.")] = False,
    version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False,
) -> None:
    """Show version or help when no command is given (`main` reads --debug itself)."""
    from micrograph import __version__

    if context.invoked_subcommand is None:
        typer.echo(f"micrograph {__version__}" if version else context.get_help())


@app.command()
def demo(out: Out = Path("micrograph-demo"), quiet: Quiet = False) -> None:
    """Run the main job on a real HAADF image of Se-implanted MoS2 and write a report."""
    from micrograph.apps import jobs, screen

    with screen.progress("analysing", quiet) as advance:
        done, about = jobs.demo(out, advance)
    if about:
        screen.say(about)
    screen.summary(done)


@app.command()
def recipes(name: Annotated[str | None, typer.Argument(help="Show this recipe's card.")] = None) -> None:
    """List the recipes, or show one recipe's card with its measured numbers."""
    from micrograph.apps import screen
    from micrograph.recipes import RECIPES, find_recipe

    if name is None:
        screen.catalogue([find_recipe(known) for known in RECIPES])
    else:
        screen.card(find_recipe(name))


@app.command()
def info(path: Annotated[Path, typer.Argument(readable=False, help="File or folder.")]) -> None:
    """Show what is in a file, with its calibration."""
    from micrograph.apps import screen
    from micrograph.io import describe

    screen.signals(path, describe(path))


@app.command()
@asking
def analyze(
    request: Request,
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", readable=False, help="Files or folders.")],
    out: Out,
    memory: Annotated[str | None, typer.Option(help='Memory budget, for example "2 GB".')] = None,
    maps: Annotated[bool, typer.Option("--maps", help="Keep the network's maps too.")] = False,
    workers: Annotated[int, typer.Option(min=1, help="Processes of this machine that share the frames.")] = 1,
    cluster: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="A Dask cluster that shares the frames, tcp://HOST:8786.")
    ] = None,
    resume: Resume = False,
    quiet: Quiet = False,
) -> None:
    """Analyse recordings: tables of every object with errors and flags, pictures, a report."""
    from micrograph.apps import jobs, screen

    asked = replace(request, memory=memory, maps=maps, workers=workers, cluster=cluster, resume=resume)
    with screen.several(quiet) as progress:
        for done in jobs.analyze_paths(paths, asked, out, progress, tell=screen.hint):
            screen.summary(done)


@app.command()
@asking
def live(
    request: Request,
    source: Annotated[str, typer.Argument(help="folder:PATH, zmq://HOST:PORT or replay:FILE.")],
    out: Out,
    triggers: Annotated[
        Path | None, typer.Option(readable=False, help="Rules: 'when frames.count > 12 for 3 frames: mark'.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Record what the rules would do, and do nothing.")] = False,
    speed: Annotated[str, typer.Option(help="Of a replay: own, fastest, or a factor such as 2.")] = "own",
    until_idle: Annotated[str | None, typer.Option(help='End when nothing came for so long, "30 s".')] = None,
    policy: Annotated[
        str | None, typer.Option(help="all: frames wait; newest: the oldest are dropped. Default: as fits the source.")
    ] = None,
    ring: Annotated[int, typer.Option(min=1, help="Newest frames kept as they came.")] = 256,
    page: Annotated[bool, typer.Option(help="Serve the page.")] = True,
    host: Annotated[str, typer.Option(help="Address of this machine that serves the page.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port of the page; 0: any free one.")] = 0,
    resume: Resume = False,
    quiet: Quiet = False,
) -> None:
    """Analyse frames while they are being recorded: tables and report of analyze, a page in the browser, triggers."""
    from micrograph.apps import screen, watching

    asked = watching.LiveRequest(
        replace(request, resume=resume), source, speed, until_idle, policy, ring, triggers, dry_run
    )
    with screen.standing(quiet) as tell:
        served = watching.PageRequest(page, host, port)
        record = watching.live(asked, out, served, opened=screen.opened, tell=tell)
    screen.lived(out, record)


@app.command()
def view(
    folder: Annotated[
        Path | None, typer.Argument(readable=False, help="Folder of results; without it, files can be dropped.")
    ] = None,
    files: Annotated[Path, typer.Option(help="Folder whose files may be opened on the page.")] = Path(),
    out: Out = Path("micrograph-results"),
    host: Annotated[str, typer.Option(help="Address of this machine that serves the page.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port of the page; 0: any free one.")] = 0,
) -> None:
    """Show results in the browser, or open a file there and get an answer."""
    from micrograph.apps import screen, watching

    watching.view(folder, files, out, watching.PageRequest(True, host, port), opened=screen.opened)


@app.command()
def simulate(
    recipe: RecipeName,
    out: Out,
    number: Annotated[int, typer.Option("-n", min=1, help="How many images.")] = 10,
    structure: Structure = None,
    zone_axis: ZoneAxis = "001",
    voltage: Voltage = None,
    pixel_size: PixelSize = None,
    seed: Seed = 0,
    quiet: Quiet = False,
) -> None:
    """Write labelled images, for any training tool: TIFF, sites as CSV, masks."""
    from micrograph.apps import making, screen

    own = making.Material(structure, zone_axis, voltage, pixel_size)
    with screen.progress("simulating", quiet) as advance:
        making.simulate(recipe, own, number, out, seed=seed, progress=advance)
    screen.say(f"{number} labelled images are in {out}")


@app.command()
def multislice(
    structure: Annotated[str, typer.Argument(help="'SrTiO3', or a file of a crystal (CIF and others).")],
    out: Annotated[Path, typer.Option("-o", "--out", help="File to write: .npz, or .tif for images and patterns.")],
    kind: Annotated[str, typer.Option(help="exit-wave, cbed, pacbed, abf or haadf.")] = "haadf",
    zone_axis: ZoneAxis = "001",
    size: Annotated[str, typer.Option(help="Width of the periodic crystal, at least.")] = "1.5 nm",
    thickness: Annotated[str, typer.Option(help="Its thickness.")] = "10 nm",
    voltage: Annotated[str, typer.Option(help="Acceleration voltage.")] = "200 kV",
    convergence: Annotated[str, typer.Option(help="Semi-angle of the probe.")] = "20 mrad",
    inner: Annotated[str, typer.Option(help="Inner angle of the detector.")] = "80 mrad",
    outer: Annotated[str, typer.Option(help="Outer angle of the detector.")] = "160 mrad",
    defocus: Annotated[str, typer.Option(help="Defocus; under focus is positive.")] = "0 nm",
    tilt: Annotated[tuple[str, str], typer.Option(help="Tilt of the beam along x and y.")] = ("0 mrad", "0 mrad"),
    step: Annotated[str, typer.Option(help="Distance of neighbouring places of the probe.")] = "0.02 nm",
    phonons: Annotated[int, typer.Option(min=0, help="Frozen states of the atoms; 0: at rest.")] = 8,
    workers: Annotated[int, typer.Option(min=1, help="Processes side by side.")] = 1,
    seed: Seed = 0,
    quiet: Quiet = False,
) -> None:
    """Simulate a crystal by multislice (abTEM), kept on disk: an interrupted run goes on where it was."""
    from micrograph.apps import screen, waves

    asked = waves.Asked(structure, kind, zone_axis, size, thickness, voltage, convergence, inner, outer, defocus, tilt,
                        step, phonons, seed)  # fmt: skip
    with screen.progress("multislice", quiet) as advance:
        found = waves.multislice(asked, out, workers=workers, progress=advance)
    sides = " x ".join(map(str, found.array.shape))
    screen.say(f"{out} holds {sides} values, {found.pixel[0]:.4g} {found.unit} apart")


@app.command()
def scan_path(
    kind: Annotated[str, typer.Argument(help="spiral, random or jittered.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="File to write: .csv of places, .tif or .npy mask.")],
    shape: Annotated[str, typer.Option(help="Rows and columns of the field.")] = "512x512",
    coverage: Annotated[str, typer.Option(help='Share of the pixels, "1/20" or "5 %".')] = "1/20",
    seed: Seed = 0,
) -> None:
    """Write a path that visits few pixels, for the microscope; recipe partial-scan completes what it recorded."""
    from micrograph.apps import paths, screen

    screen.say(paths.make_path(kind, shape, coverage, out, seed)[1])


@app.command()
def train(
    recipe: RecipeName,
    out: Annotated[Path, typer.Option("-o", "--out", help="Weights file to write (.safetensors).")],
    structure: Structure = None,
    zone_axis: ZoneAxis = "001",
    voltage: Voltage = None,
    pixel_size: PixelSize = None,
    labels: Annotated[
        Path | None,
        typer.Option(readable=False, help="Your own masks or outlines, or a folder with a sub-folder a class."),
    ] = None,
    images: Annotated[
        int | None, typer.Option(min=1, help="With --labels: learn from so many; the others are held out.")
    ] = None,
    classes: Annotated[
        str,
        typer.Option(
            metavar="NAMES", help="With --labels: what is painted, 'secondary=0,0,255; tertiary=red; rest=matrix'."
        ),
    ] = "",
    curve: Annotated[bool, typer.Option(help="With --labels: measure what one more label would bring.")] = True,
    steps: Annotated[int | None, typer.Option(min=1, help="Training steps; default: the recipe's.")] = None,
    seed: Seed = 0,
    begin_from: Annotated[
        str | None, typer.Option(metavar="WEIGHTS", help="Learn on from these weights (name or file).")
    ] = None,
    net: Annotated[
        Path | None, typer.Option(readable=False, help="Build the network as this file of micrograph search says.")
    ] = None,
    devices: Annotated[
        str, typer.Option(metavar="N", help="So many GPUs (processes without any) share each batch; auto: all.")
    ] = "1",
    resume: Annotated[bool, typer.Option(help="Go on from the checkpoint of an earlier run.")] = True,
    quiet: Quiet = False,
) -> None:
    """Train a recipe's model, for its own range of samples, for your structure and microscope, or on your labels."""
    from micrograph.apps import classing, labelling, making, screen

    own = making.Material(structure, zone_axis, voltage, pixel_size)
    if labels is not None:
        given = labelling.OwnLabels(labels, images, curve, classes)
        labelling.check_alone(own, devices)
        if classing.suits(recipe, labels):
            with screen.progress("learning", quiet) as advance:
                found = classing.train_on_classes(recipe, labels, out, curve=curve, seed=seed, progress=advance)
            screen.classed(out, recipe, found)
            return
        with screen.progress("training", quiet) as advance:
            report = labelling.train_on_labels(
                recipe, given, out, steps=steps, seed=seed, resume=resume, progress=advance
            )
        screen.labelled(out, report)
        return
    with screen.progress("training", quiet) as advance:
        checkpoint = making.train_model(
            recipe, own, out, steps=steps, seed=seed, net=net, devices=devices, resume=resume, begin_from=begin_from,
            progress=advance,
        )  # fmt: skip
    screen.trained(out, checkpoint)


@app.command()
@asking
def suggest(
    request: Request,
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", readable=False, help="Files or folders.")],
    out: Out,
    number: Annotated[int, typer.Option("-n", min=1, help="How many to label.")] = 12,
    crop: Annotated[
        int | None,
        typer.Option(min=0, help="Side of the pieces in pixels, 0: whole frames. Default: 512 of frames over 640."),
    ] = None,
    look_at: Annotated[int, typer.Option(min=1, help="Frames that are looked at, spread over all.")] = 200,
    labelled: Annotated[
        Path | None, typer.Option(readable=False, help="Folder of labels that there are already, as for --labels.")
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Choose the frames, or parts of them, whose labels would teach a model most, and write them to be labelled."""
    from micrograph.apps import screen, suggesting

    choice = suggesting.Choice(number, crop, look_at, labelled)
    with screen.progress("looking", quiet) as advance:
        found = suggesting.suggest(request, paths, out, choice, advance)
    screen.say(suggesting.what_next(request.recipe, found, out))


@app.command()
def validate(
    recipe: RecipeName,
    weights: Annotated[list[Path] | None, typer.Option(help="Own weights instead of the shipped ones.")] = None,
    only: Annotated[str | None, typer.Option(help="Only the checks whose name contains this text.")] = None,
    seed: Seed = 0,
    record: Annotated[bool, typer.Option("--record", help="Store the numbers with the shipped weights.")] = False,
    intervals: Annotated[
        bool, typer.Option("--intervals", help="Measure the 90 % intervals of its numbers, then how often they hold.")
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Measure a recipe against its bars: number, bound, physical limit, classical baseline."""
    from micrograph.apps import jobs, screen

    with screen.progress("validating", quiet) as advance:
        results = jobs.validate(
            recipe, tuple(weights or ()), only=only, seed=seed, record=record, intervals=intervals, progress=advance
        )
    screen.checks(recipe, results)


@app.command()
def new(
    name: Annotated[str, typer.Argument(help="Name of the recipe, in lower case with hyphens.")],
    folder: Annotated[Path, typer.Option(help="Where to write the file.")] = Path("."),
) -> None:
    """Write a blank recipe to fill in."""
    from micrograph.apps import jobs, screen

    screen.say(f"{jobs.blank_recipe(name, folder)} is ready: fill in its five parts (see CONTRIBUTING.md).")


@app.command()
def compress(
    path: Annotated[Path, typer.Argument(metavar="MOVIE", readable=False, help="File or folder of a movie.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="File to write (.coded.h5).")],
    frames: Annotated[int, typer.Option(min=2, help="Frames that are coded into one.")] = 20,
    masks: Annotated[str, typer.Option(help="shifting, random or bernoulli.")] = "shifting",
    step: Annotated[float, typer.Option(help="Rounding of coded frames, in 1-sigmas of their noise.")] = 1.0,
    pixel_size: PixelSize = None,
    frame_time: Annotated[str | None, typer.Option(help='Time of a frame, for example "0.05 s".')] = None,
    signal: Annotated[str | None, typer.Option(help="Signal in the file, by name or number.")] = None,
    resume: Resume = False,
    seed: Seed = 0,
    quiet: Quiet = False,
) -> None:
    """Code a movie, many frames into one, into a small checked file; recipe compressed-movie decodes it."""
    from micrograph.apps import coding, screen
    from micrograph.features.restoring.coding_plan import Coding

    asked = coding.Asked(path, pixel_size, frame_time, signal)
    with screen.progress("coding", quiet) as advance:
        planned = Coding(frames, masks, seed, step)
        said = coding.compress_file(asked, out, planned, resume=resume, progress=advance)
    screen.say(said)


SHARING = (cli_sharing.library, cli_sharing.catalog, cli_sharing.crate, cli_sharing.export, cli_sharing.model_card)
for verb in (cli_domains.domain, cli_domains.mend, cli_nets.search, *SHARING):
    app.command()(verb)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and leave with a status, see `leaving.run`."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # thousands of small products: threads cost more than they give
    leaving.run(app, list(sys.argv[1:] if arguments is None else arguments))
