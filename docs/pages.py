"""What `make docs` adds to the pages: the README as home, the changes, the gallery's front page, and the reference.

MkDocs calls `on_config` and `on_files`; nothing here needs micrograph to be installed.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "src" / "micrograph"
#: Folder of the pages -> title of the section, in this order.
SECTIONS = {"tutorials": "Tutorials", "how-to": "How to", "gallery": "Gallery", "explanation": "Explanation"}


def title_of(path: Path) -> str:
    """Return the first heading of a page."""
    return next(line.removeprefix("# ") for line in path.read_text(encoding="utf-8").splitlines() if line[:2] == "# ")


def rooms() -> list[str]:
    """Return the rooms of the package that offer names, the package itself first."""
    offering = [path.parent for path in PACKAGE.glob("*/__init__.py") if "__all__" in path.read_text(encoding="utf-8")]
    return ["micrograph", *sorted(f"micrograph.{path.name}" for path in offering)]


def on_config(config: Any) -> Any:
    """Set the menu: every page of a section in the order of its name."""
    docs = Path(config.docs_dir)
    menu: list[Any] = [{"Home": "index.md"}]
    for folder, title in SECTIONS.items():
        pages = [str(path.relative_to(docs)) for path in sorted((docs / folder).glob("*.md"))]
        first = ["gallery/index.md"] if folder == "gallery" else []
        decisions = [str(path.relative_to(docs)) for path in sorted((docs / folder / "decisions").glob("*.md"))]
        menu.append({title: [*first, *pages, *([{"Decisions": decisions}] if decisions else [])]})
    menu.append({"Reference": ["reference/commands.md", *({room: f"reference/{room}.md"} for room in rooms())]})
    config.nav = [*menu, {"Contributing": "contributing.md"}, {"Changes": "changelog.md"}]
    return config


def on_files(files: Files, config: Any) -> Files:
    """Add the pages that are not files below docs/."""
    pages = {
        "index.md": inside((ROOT / "README.md").read_text(encoding="utf-8")),
        "contributing.md": inside((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")),
        "changelog.md": (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"),
        "gallery/index.md": gallery(Path(config.docs_dir)),
        "reference/commands.md": commands(),
        **{f"reference/{room}.md": f"# {room}\n\n::: {room}\n" for room in rooms()},
    }
    for name, text in pages.items():
        files.append(File.generated(config, name, content=text))
    return files


def inside(text: str) -> str:
    """Return a page of the repository's root as one below docs/: its links begin there."""
    for name in ("CONTRIBUTING", "CHANGELOG"):
        text = text.replace(f"({name}.md)", f"({name.lower()}.md)")
    return re.sub(r"\]\(docs/", "](", text)


def gallery(docs: Path) -> str:
    """Return the front page of the gallery: every recipe with its picture."""
    lines = ["# Gallery", "", "Every recipe with what it answers and how well it was measured to do so.", ""]
    lines += ['<div class="gallery" markdown>', ""]
    for path in sorted((docs / "gallery").glob("*.md")):
        seen = (docs / "images" / f"{path.stem}.png").exists()
        shown = [f"[![{path.stem}](../images/{path.stem}.png)]({path.name})"] if seen else []
        lines += ["<div markdown>", "", *shown, f"[{title_of(path)}]({path.name})", "", "</div>"]
    return "\n".join([*lines, "</div>", ""])


def commands() -> str:
    """Return the commands and their options, read from the source of the command line."""
    lines = ["# Commands", "", "`micrograph COMMAND --help` tells all options."]
    for source in ("cli", "cli_sharing"):
        for node in functions(source):
            if is_command(node, source):
                lines += ["", f"## micrograph {node.name.replace('_', '-')}", "", ast.get_docstring(node) or ""]
                asks = any(ast.unparse(one) == "asking" for one in node.decorator_list)
                lines += ["", "Takes the [options of an analysis](#options-of-an-analysis), and:"] if asks else []
                lines += ["", *options(node)]
    (requested,) = (node for node in functions("options") if node.name == "requested")
    return "\n".join([*lines, "", "## Options of an analysis", "", *options(requested)]) + "\n"


def functions(source: str) -> list[ast.FunctionDef]:
    """Return the functions of a module of the command line."""
    tree = ast.parse((PACKAGE / "apps" / f"{source}.py").read_text(encoding="utf-8"))
    return [node for node in tree.body if isinstance(node, ast.FunctionDef)]


def is_command(node: ast.FunctionDef, source: str) -> bool:
    """Return whether a function of the command line is a command."""
    decorated = any(ast.unparse(one) == "app.command()" for one in node.decorator_list)
    return decorated or (source == "cli_sharing" and not node.name.startswith("_"))


def options(node: ast.FunctionDef) -> list[str]:
    """Return the arguments and options of a command that its own function states, as a table."""
    rows = []
    for argument in node.args.args:
        helped = re.search(r"help=(['\"])(.*?)\1\)", ast.unparse(argument.annotation or ast.Constant("")))
        if helped:
            optional = "typer.Option" in ast.unparse(argument.annotation)
            name = argument.arg.strip("_").replace("_", "-")
            rows.append(f"| `{'--' + name if optional else name.upper()}` | {helped[2]} |")
    return ["| argument or option | |", "|---|---|", *rows] if rows else []
