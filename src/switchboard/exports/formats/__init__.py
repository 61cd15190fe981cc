"""The formats: conversations in, bytes out. A kind of its own each, with what is needed to read it again.

    json.py    conversations as objects, a line for each message
    ml.py      pairs of question and answer with their context, as one object
    jsonl.py   chat fine-tuning examples, one a line
    pairs.py   preferred and rejected answers, one pair a line
    csv.py     one row for each message
    xlsx.py    sheets of conversations, messages, metrics and the manifest
    html.py    a page to be read, searched and printed, or a zip of such; only of exports that are kept
    book.py    its pages while they are written
    pages.py   its templates
    figures.py what it counts, and draws
    cells.py   the columns of the last two
    talk.py    what was said as models are taught it, for the three before them
    text.py    JSON as bytes, whatever is in it

`render` writes; `recount` reads the content of a file again and counts what its manifest claims; `show` gives the first
rows as a program shows them. All of them take whatever text there is.
"""

from collections.abc import AsyncGenerator, AsyncIterable, Callable, Iterable
from dataclasses import dataclass
from typing import Any, BinaryIO, Final

from switchboard.exports.asked import Options
from switchboard.exports.conversation import Part
from switchboard.exports.formats import csv, html, json, jsonl, ml, pairs, xlsx
from switchboard.exports.manifest import Manifest


@dataclass(frozen=True, slots=True)
class Format:
    """One format by its name."""

    name: str
    extension: str
    media_type: str
    render: Callable[[AsyncIterable[Part], Manifest, Options], AsyncGenerator[bytes]]
    """Raises what its parts raise, and closes the manifest when they have come to their end."""
    show: Callable[[Iterable[Part], Options], Any]
    recount: Callable[[BinaryIO, int], dict[str, int]]
    """Counts in the first bytes of a file. Raises `ValueError` for what this format never writes."""
    options: Callable[[Options], dict[str, bool]] = lambda options: {"judged": options.include_metadata}
    """What it needs of the source."""


FORMATS: Final = {
    each.name: each
    for each in (
        Format("json", "json", "application/json", json.render, json.show, json.recount),
        Format("csv", "csv", "text/csv; charset=utf-8", csv.render, csv.show, csv.recount),
        Format("xlsx", "xlsx", xlsx.MEDIA_TYPE, xlsx.render, xlsx.show, xlsx.recount),
        Format("ml", "json", "application/json", ml.render, ml.show, ml.recount, lambda _: {}),
        Format("jsonl", "jsonl", "application/jsonl", jsonl.render, jsonl.show, jsonl.recount, lambda _: {}),
        Format(
            "pairs",
            "jsonl",
            "application/jsonl",
            pairs.render,
            pairs.show,
            pairs.recount,
            lambda _: {"corrected": True},
        ),
    )
}
STORED: Final = {
    **FORMATS,
    "html": Format("html", "html", "text/html; charset=utf-8", html.render, json.show, html.recount),
}
"""All there are. The last one begins with what is known at the end, so that it cannot be sent while it is made."""
