"""Parts of pages that are generated: what lies between two marks."""

from __future__ import annotations

BEGIN, END = "<!-- generated: {} -->", "<!-- end -->"


def replace_between(text: str, name: str, body: str) -> str:
    """Return `text` with the part between the markers of `name` replaced by `body`."""
    begin = BEGIN.format(name)
    head, _, rest = text.partition(begin)
    _, _, tail = rest.partition(END)
    return f"{head}{begin}\n{body.strip()}\n{END}{tail}"
