"""Renew what is generated in the documentation: the README's table of recipes and one gallery page a recipe.

Every number comes from the cards of the shipped weights (written by ``micrograph validate RECIPE --record``) and from
``benchmarks/results.json`` (written by ``make bench``); run with ``make readme``.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from marked import replace_between
from pictures import DRAWERS
from tutorial_files import write_movie, write_results

from micrograph.draw import to_png
from micrograph.draw.domain import domain_figure
from micrograph.nets import find_weights, read_card
from micrograph.recipes import RECIPES, find_recipe
from micrograph.run import Recipe
from micrograph.validate import read_measured
from micrograph.validate.claim_checks import INTERVALS_OF
from micrograph.validate.shift_map import read_map

ROOT = Path(__file__).resolve().parent.parent
IMAGES = ROOT / "docs" / "images"


def number(value: float | None) -> str:
    """Return a number as text with four digits, a dash for none."""
    return "-" if value is None or value != value else f"{value:.4g}"


def check_rows(measured: list[dict[str, Any]]) -> str:
    """Return the checks of one recipe as a Markdown table."""
    if not measured:
        return "Not recorded yet: the command above prints them."
    lines = ["| check | number | 95 % interval | bound | limit | baseline | |", "|---|---|---|---|---|---|---|"]
    for row in measured:
        lines.append(
            f"| {row['name']} | {number(row['value'])} | {number(row['low'])} to {number(row['high'])} "
            f"| {row['direction']} {number(row['bound'])} | {number(row['limit'])} | {number(row['baseline'])} "
            f"| {'pass' if row['passed'] else 'falls short'} |"
        )
    return "\n".join(lines)


def interval_rows(recipe: Recipe) -> list[str]:
    """Return what is known of the recipe's intervals as lines of Markdown, none where it claims nothing."""
    if recipe.trust is None:
        return []
    told = [row for row in read_measured(recipe.name) if row["name"].startswith(INTERVALS_OF)]
    lines = ["## 90 % intervals", "Shares of rows that hold the truth; [what they mean](../how-to/trust.md).", ""]
    if not told:
        return [*lines, "Not recorded yet: tables have no such columns until they are.", ""]
    lines += ["| number | on unseen simulations, and on such as are unlike them |", "|---|---|"]
    lines += [f"| `{row['name'].removeprefix(INTERVALS_OF).split(':')[0]}` | {row['detail']} |" for row in told]
    return [*lines, ""]


def card_of(name: str) -> dict[str, Any]:
    """Return the card of a recipe's shipped weights, empty when it ships none."""
    weights = find_recipe(name).model.weights
    return read_card(find_weights(weights)) if weights else {}


def recipe_table() -> str:
    """Return the README's table: every recipe, its question, and how many of its bars it meets."""
    lines = ["| recipe | question | bars met | reference |", "|---|---|---|---|"]
    for name in RECIPES:
        task, checks = find_recipe(name).task, find_recipe(name).checks
        measured = read_measured(name)
        met = sum(bool(row["passed"]) for row in measured)
        left = len(checks) - len(measured)
        bars = f"{met} of {len(measured)}" + (f", {left} not recorded yet" if left else "")
        lines.append(f"| [`{name}`](docs/gallery/{name}.md) | {task.question} | {bars} | {task.reference} |")
    return "\n".join(lines)


def about(name: str) -> list[str]:
    """Return the lines that a person wrote about a recipe, where there are any."""
    path = ROOT / "docs" / "about" / f"{name}.md"
    return [*path.read_text(encoding="utf-8").strip().splitlines(), ""] if path.exists() else []


def example(recipe: Recipe) -> str:
    """Return a file and the options that a user of the recipe gives."""
    if "elements" in recipe.task.takes:
        return "maps.npz          # one array an element; or .h5, .zarr, .hspy, .mat, a folder of files"
    if "coded" in recipe.task.takes:
        return "movie.coded.h5    # made by: micrograph compress MOVIE -o movie.coded.h5 --frames 20"
    if "sites" in recipe.task.takes:
        return 'sites.csv           # x_nm, y_nm, class; or an image, with --pixel-size "0.05 nm"'
    if "structure" in recipe.task.takes:
        return "crystal.cif          # or patterns.tif, several zones of one crystal"
    if "peaks" in recipe.task.takes:
        return "peaks.csv            # columns gx_per_nm, gy_per_nm, gz_per_nm, intensity"
    if "spectra" in recipe.task.takes:
        return 'map.dm4          # or .hspy, .emd, .npy with --energy-axis "0.01 eV, 0.2 eV" and --scan-step "2 nm"'
    if "rows" in recipe.task.takes:
        return "scan.mib          # or .blo, .xml (EMPAD), .h5, .zarr, .npy with --pattern-pixel and --scan-step"
    if "phases" in recipe.task.answers:
        return 'micrograph.tif --pixel-size "25 nm"      # or the scale that a SEM wrote; a folder of many micrographs'
    if "outlines" in recipe.task.answers:
        return 'movie.dm4 --frame-time "0.1 s"       # or .npy/.tif with --pixel-size "0.2 nm"'
    if "frame_time_s" in recipe.task.needs or len(recipe.over_time) > 1:
        return 'movie.npy --pixel-size "0.0176 nm" --frame-time "0.5 s"'
    return 'my-scan.dm4          # or .npy/.tif with --pixel-size "0.0127 nm"'


def gallery_page(name: str) -> str:
    """Return the gallery page of one recipe."""
    recipe, card = find_recipe(name), card_of(name)
    columns = [
        f"| {table} | `{column.name}` | {column.unit or '-'} | {column.about} |"
        for table, promised in recipe.task.answers.items()
        for column in promised
    ]
    settings = [f"| `{key}` | `{value}` |" for key, value in recipe.settings().items()]
    domain = [f"| {key} | {low:g} | {high:g} |" for key, (low, high) in card.get("domain", {}).items()]
    return "\n".join(
        [
            f"# {recipe.name}: {recipe.title}",
            "",
            f"{recipe.task.question} Reference: {recipe.task.reference}.",
            "",
            *([f"![{recipe.title}](../images/{name}.png)", ""] if (IMAGES / f"{name}.png").exists() else []),
            *about(name),
            "```",
            f"micrograph analyze {name} {example(recipe)} -o results",
            f"micrograph validate {name}                                # the numbers below",
            "```",
            "",
            "## What it answers",
            "| table | column | unit | meaning |",
            "|---|---|---|---|",
            *columns,
            "",
            "## Settings (`--set key=value`)",
            "| setting | default |",
            "|---|---|",
            *settings,
            "",
            *(["## Trained on", "| quantity | from | to |", "|---|---|---|", *domain, ""] if domain else []),
            "## Measured",
            check_rows(read_measured(name)),
            "",
            *interval_rows(recipe),
            *domain_lines(name),
        ]
    )


def domain_lines(name: str) -> list[str]:
    """Return the part of a page on where a network can be believed, empty where that was not measured; draw its map."""
    rows = read_map(name)
    if not rows:
        return []
    (IMAGES / f"{name}-domain.png").write_bytes(to_png(domain_figure(rows, f"{name}: where it can be believed")))
    return [
        "## Where it can be believed",
        f"![F1 over dose, pixel size, defocus and other settings](../images/{name}-domain.png)",
        "",
        f"Simulated images, {rows[0]['images']} of each kind: `micrograph domain {name}`. Settings that are not named "
        "lie where they lay in training, which is framed. `expected_f1` is what table `frames` says of such images; "
        "see [another microscope](../how-to/another-microscope.md).",
        "",
    ]


def bench_table() -> str:
    """Return the recorded benchmarks as a Markdown table."""
    path = ROOT / "benchmarks" / "results.json"
    if not path.exists():
        return "Not measured yet: `make bench`."
    lines = ["| benchmark | number | unit | bound | | how |", "|---|---|---|---|---|---|"]
    for row in json.loads(path.read_text()):
        verdict = "" if row.get("bound") is None else ("pass" if row["passed"] else "falls short")
        bound = row.get("bound_text") or "-"
        cells = (row["name"], number(row["value"]), row["unit"], bound, verdict, row.get("detail", ""))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Rewrite the README's generated parts and the gallery."""
    readme = ROOT / "README.md"
    text = replace_between(readme.read_text(encoding="utf-8"), "recipes", recipe_table())
    readme.write_text(replace_between(text, "benchmarks", bench_table()), encoding="utf-8")
    write_movie()
    write_results()
    for name in RECIPES:
        (ROOT / "docs" / "gallery" / f"{name}.md").write_text(gallery_page(name), encoding="utf-8")
        if name in DRAWERS:
            (IMAGES / f"{name}.png").write_bytes(to_png(DRAWERS[name](find_recipe(name))))


if __name__ == "__main__":
    main()
