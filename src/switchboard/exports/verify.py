"""A file read again: whether it is whole, and as it was written."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Final, cast

import orjson

from switchboard.exports.formats import STORED, csv, html, xlsx

_TAIL: Final = 1_000_000
"""Bytes at the end of a file among which its manifest is looked for."""
_CHUNK: Final = 1_000_000
_BEGINS: Final = (b',"manifest":', b'{"manifest":', f'"{csv.FOOTER}","'.encode(), html.BEGINS)
_ARCHIVES: Final = {"xlsx": (xlsx.manifest_of, xlsx.content_of), "html": (html.manifest_of, html.content_of)}


@dataclass(slots=True)
class Verdict:
    """What was found. ``differences`` are in words for people; without any the file is as it was written."""

    differences: list[str] = field(default_factory=list[str])
    manifest: dict[str, Any] | None = None
    counted: dict[str, int] = field(default_factory=dict[str, int])

    @property
    def complete(self) -> bool:
        """Whether it has a manifest at all: one that broke off has none."""
        return self.manifest is not None

    @property
    def valid(self) -> bool:
        """Whether nothing differs."""
        return self.complete and not self.differences


def verify(file: BinaryIO) -> Verdict:
    """Reads a file from its beginning to its end, whatever is in it. Memory does not grow with it; takes its time."""
    verdict = Verdict()
    archive = file.seek(0) or file.read(2) == b"PK"
    closed, size = _archived(file) if archive else _written(file)
    if closed is None:
        verdict.differences.append("It has no manifest: it is no export, or one that broke off.")
        return verdict
    verdict.manifest = closed
    kind = closed.get("format")
    if kind not in STORED or (archive and kind not in _ARCHIVES) or (kind == "xlsx" and not archive):
        verdict.differences.append(f"Its manifest names another format: {closed.get('format')!r}.")
        return verdict
    try:
        _compare(verdict, closed, _ARCHIVES[kind][1](file) if archive else _chunks(file, size))
        _recount(verdict, closed, file, size)
    except (ValueError, KeyError) as error:
        verdict.differences.append(f"It is not as any export is written: {error}.")
    return verdict


def _compare(verdict: Verdict, closed: dict[str, Any], content: Iterator[bytes]) -> None:
    digest, size = hashlib.sha256(), 0
    for chunk in content:
        digest.update(chunk)
        size += len(chunk)
    if size != closed.get("bytes"):
        verdict.differences.append(f"bytes: the manifest says {closed.get('bytes')}, the file holds {size}.")
    if digest.hexdigest() != closed.get("sha256"):
        verdict.differences.append(
            f"sha256: the manifest says {closed.get('sha256')}, the content has {digest.hexdigest()}."
        )


def _recount(verdict: Verdict, closed: dict[str, Any], file: BinaryIO, size: int) -> None:
    said: Any = closed.get("counts")
    verdict.counted = STORED[closed["format"]].recount(file, size)
    for name, many in verdict.counted.items():
        told = cast("dict[str, Any]", said).get(name) if isinstance(said, dict) else None
        if told != many:
            verdict.differences.append(f"{name}: the manifest says {told}, the file holds {many}.")


def _written(file: BinaryIO) -> tuple[dict[str, Any] | None, int]:
    """The manifest in the last line of a file, and how many bytes come before it."""
    size = file.seek(0, 2)
    file.seek(max(0, size - _TAIL))
    tail = file.read()
    # The last line of a whole file ends like every other.
    line = tail.removesuffix(b"\n").removesuffix(b"\r").rpartition(b"\n")[2] if tail.endswith(b"\n") else b""
    if not line.startswith(_BEGINS):
        return None, size
    before = size - len(tail) + tail.rindex(line)
    if line.startswith(html.BEGINS):
        # After it nothing but what every page ends with.
        whole = tail.endswith(html.ENDS)
        return _read(line.removeprefix(html.BEGINS).removesuffix(html.ENDS.strip())) if whole else None, before
    if line.startswith(b'"'):
        row = line.strip().split(b'","')
        # In quotes, and so are the quotes in it.
        text = b'","'.join(row[1:]).partition(b'","",')[0].replace(b'""', b'"')
        return _read(text), before
    return _read(line.partition(b":")[2].strip()[:-1]), before


def _archived(file: BinaryIO) -> tuple[dict[str, Any] | None, int]:
    for manifest_of, _ in _ARCHIVES.values():
        if (closed := manifest_of(file)) is not None:
            return _read(closed), file.seek(0, 2)
    return None, file.seek(0, 2)


def _read(text: bytes) -> dict[str, Any] | None:
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    return cast("dict[str, Any]", value) if isinstance(value, dict) else None


def _chunks(file: BinaryIO, size: int) -> Iterator[bytes]:
    file.seek(0)
    while size > 0 and (chunk := file.read(min(size, _CHUNK))):
        size -= len(chunk)
        yield chunk
