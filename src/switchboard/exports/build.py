"""A file being written: source, hiding, format and manifest joined, with an entry in the audit trail at either end."""

import asyncio
import secrets
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import structlog

from switchboard import clock
from switchboard.database import Database
from switchboard.errors import SwitchboardError
from switchboard.exports.asked import Asked, Options, Watermark, services
from switchboard.exports.conversation import Part
from switchboard.exports.formats import FORMATS, Format
from switchboard.exports.hide import Hiding
from switchboard.exports.manifest import Manifest
from switchboard.exports.read import Page, page_of, read
from switchboard.settings import Settings

_LOOKS = 25
_BETWEEN_SECONDS = 0.01
"""How long an export waits for messages that were being written when it began: a quarter of a second in all."""

Render = Callable[[AsyncIterable[Part], Manifest, Options], AsyncGenerator[bytes]]
"""As `formats.Format` has it."""
_WORTH_SENDING = 32_768
"""Bytes."""
Watcher = Callable[[Mapping[str, int]], None]
"""Is told what was counted by now, again and again."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Export:
    """An export that has been let through. ``caller`` is as SQL functions take it."""

    database: Database
    caller: dict[str, Any]
    workspace_id: int
    asked: Asked
    watermark: dict[str, Any]
    settled: bool

    @property
    def format(self) -> Format:
        """The format that was asked for."""
        return FORMATS[self.asked.format_name]

    @property
    def file_name(self) -> str:
        """The name under which it is saved."""
        return f"ai_conversations_export_{clock.now():%Y-%m-%d}.{self.format.extension}"

    @property
    def filters(self) -> dict[str, Any]:
        """As the source takes them: pairs are only of conversations in which something was corrected."""
        return {**self.asked.filters, **({"corrected": True} if self.format.name == "pairs" else {})}

    def manifest(self, hiding: Hiding) -> Manifest:
        """The manifest of the file, open."""
        about = {"format": self.format.name, "workspace_id": self.workspace_id, **_details(self.asked)}
        settled = {} if self.settled else {"settled": False}
        return Manifest({**about, "watermark": self.watermark, **settled}, hiding.report)


async def begin(
    database: Database,
    settings: Settings,
    caller: dict[str, Any],
    workspace_id: int,
    asked: Asked,
    deed: str | None = None,
) -> Export:
    """Writes down as ``deed`` what is about to happen.

    Raises `NotFound` and `Forbidden` for who is not let through, `Invalid` for filters that make no sense.
    """
    begun = await database.call(
        "begin_export",
        caller=caller,
        workspace_id=workspace_id,
        deed=deed,
        details={"format": asked.format_name, **_details(asked)},
        services=services(settings),
        watermark=asked.watermark.as_json() if asked.watermark else None,
    )
    settled = await settle(database, begun["running"])
    # One form of its time, whether it was given or made: the database leaves out zeros at the end.
    watermark = Watermark.model_validate(begun["watermark"]).as_json()
    return Export(database, caller, workspace_id, asked, watermark, settled)


async def write(export: Export, watch: Watcher = lambda _: None) -> AsyncGenerator[bytes]:
    """The file. What breaks off has no manifest; how it ended is written down either way. ``watch`` sees the counts."""
    hiding = Hiding((export.asked.key or secrets.token_bytes(32)) if export.asked.anonymize else None)
    manifest, outcome = export.manifest(hiding), "cut"
    source = page_of(
        export.database,
        export.caller,
        export.workspace_id,
        filters=export.filters,
        watermark=export.watermark["message_id"],
        options=export.format.options(export.asked.options),
    )
    try:
        joined = join(source, hiding, manifest, export.format.render, export.asked.options)
        async with aclosing(joined) as chunks:
            async for chunk in chunks:
                watch(manifest.counts)
                yield chunk
        outcome = "complete"
    finally:
        await _end(export, manifest, outcome)


async def join(
    source: Page, hiding: Hiding, manifest: Manifest, render: Render, options: Options
) -> AsyncGenerator[bytes]:
    """Read, hidden, counted and written, each as the next one takes it, in pieces worth sending."""
    async with (
        aclosing(read(source)) as parts,
        aclosing(hiding.hide(parts)) as hidden,
        aclosing(manifest.counting(hidden)) as counted,
        aclosing(render(counted, manifest, options)) as chunks,
    ):
        async for chunk in _gathered(chunks):
            yield chunk


async def _gathered(chunks: AsyncIterator[bytes]) -> AsyncGenerator[bytes]:
    """The first chunk at once, then as many together as are worth sending."""
    gathered, size, enough = list[bytes](), 0, 0
    async for chunk in chunks:
        gathered.append(chunk)
        size += len(chunk)
        if size > enough:
            yield b"".join(gathered)
            gathered, size, enough = [], 0, _WORTH_SENDING
    if gathered:
        yield b"".join(gathered)


async def note_preview(export: Export, counts: dict[str, int]) -> None:
    """Writes down that somebody has seen the first rows, and of how many."""
    await _note(export, "export.previewed", {"counts": counts})


async def _end(export: Export, manifest: Manifest, outcome: str) -> None:
    sha256 = (manifest.closed or {}).get("sha256")
    counts = {"outcome": outcome, "counts": dict(manifest.counts), "sha256": sha256}
    try:
        await _note(export, "export.ended", counts)
    except SwitchboardError as error:
        # That it began is written down in any case.
        log.warning("how an export ended is not written down", code=error.code, outcome=outcome)


async def _note(export: Export, deed: str, details: dict[str, Any]) -> None:
    about = {"format": export.format.name, **_details(export.asked), "watermark": export.watermark["message_id"]}
    await export.database.call(
        "end_export",
        caller=export.caller,
        workspace_id=export.workspace_id,
        deed=deed,
        details={**about, **details},
    )


async def settle(database: Database, running: str) -> bool:
    """Waits a moment for whoever was writing when the export began, so that nothing comes in below its watermark."""
    for _ in range(_LOOKS):
        if await database.call("export_settled", running=running):
            return True
        await asyncio.sleep(_BETWEEN_SECONDS)
    return False


def _details(asked: Asked) -> dict[str, Any]:
    return {"filters": asked.filters, "options": asked.options.model_dump()}
