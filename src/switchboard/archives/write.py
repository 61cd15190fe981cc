"""The file of an export, on the disk: source, hiding, format and manifest joined, as for one that is streamed."""

import asyncio
import hashlib
import shutil
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Final

from switchboard.archives.claimed import Claimed, Started
from switchboard.database import Database
from switchboard.errors import NoSpace
from switchboard.exports.build import join, settle
from switchboard.exports.formats import html
from switchboard.exports.formats.pages import policy
from switchboard.exports.hide import Hiding
from switchboard.exports.manifest import Manifest
from switchboard.exports.read import PAGE, Page
from switchboard.storage.folder import FULL

SPARE_BYTES: Final = 64_000_000
"""A disk with less left is full: everything else that writes to it needs some."""
_ZIP: Final = b"PK"


@dataclass(frozen=True, slots=True)
class Written:
    """What the database has to know of a file, but for where it is."""

    file: dict[str, Any]
    counts: dict[str, int]


async def write(
    database: Database,
    claimed: Claimed,
    started: Started,
    file: BinaryIO,
    *,
    folder: Path,
    page_bytes: int,
    note: Callable[[int], None],
) -> Written:
    """Writes the export into ``file`` and says with ``note`` how many conversations are done.

    Raises `NoSpace`, `Conflict` when another process has it by now, and the errors of the database.
    """
    settled = await settle(database, started.running)
    hiding = Hiding(bytes.fromhex(started.pseudonym_key) if claimed.options.anonymize else None)
    manifest = _manifest(claimed, started, hiding, settled=settled)
    render = claimed.kind.render
    if claimed.format == "html":
        render = partial(html.render, page_bytes=page_bytes, folder=folder)
    digest, size, begins = hashlib.sha256(), 0, b""
    try:
        _refuse_full(folder)
        source = _pages(database, claimed, lambda: note(manifest.counts["conversations"]))
        joined = join(source, hiding, manifest, render, claimed.options)
        async with aclosing(joined) as chunks:
            async for chunk in chunks:
                await asyncio.to_thread(file.write, chunk)
                digest.update(chunk)
                begins, size = begins or chunk[:2], size + len(chunk)
        await asyncio.to_thread(file.flush)
    except OSError as error:
        if error.errno in FULL:
            raise NoSpace from error
        raise
    zipped = begins == _ZIP and claimed.format == "html"
    extension, media_type = ("zip", "application/zip") if zipped else (claimed.kind.extension, claimed.kind.media_type)
    return Written(
        {
            "name": f"conversations_{claimed.assistant_id}_{started.at:%Y%m%dT%H%M%SZ}.{extension}",
            "content_type": media_type,
            "bytes": size,
            "sha256": digest.hexdigest(),
            "policy": policy() if claimed.format == "html" else "default-src 'none'",
        },
        dict(manifest.counts),
    )


def _manifest(claimed: Claimed, started: Started, hiding: Hiding, *, settled: bool) -> Manifest:
    about = {
        "format": claimed.format,
        "workspace_id": claimed.workspace_id,
        "assistant": {"id": claimed.assistant_id, "name": claimed.assistant},
        "days": claimed.days,
        "time_zone": claimed.time_zone,
        "left_out": started.left_out,
        "filters": claimed.filters,
        "options": claimed.options.model_dump(),
        "watermark": {**started.watermark, "at": started.watermark["at"].replace("+00:00", "Z")},
    }
    return Manifest({**about, **({} if settled else {"settled": False})}, hiding.report)


def _pages(database: Database, claimed: Claimed, begins: Callable[[], None]) -> Page:
    """Pages of it; ``begins`` is called before each, for a format may say nothing until it has read all."""
    options = claimed.kind.options(claimed.options)

    async def page(after: list[Any] | None) -> dict[str, Any]:
        begins()
        found: dict[str, Any] = await database.call(
            "export_job_page", **claimed.lease, options=options, after=after, max_messages=PAGE
        )
        return found

    return page


def _refuse_full(folder: Path) -> None:
    if shutil.disk_usage(folder).free < SPARE_BYTES:
        raise NoSpace
