"""The first rows of an export as they would be written, how much it would be, and what its hiding may have missed."""

import secrets
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from typing import Any, Final

from switchboard.exports.build import Export
from switchboard.exports.conversation import Part
from switchboard.exports.hide import Hiding
from switchboard.exports.manifest import Manifest
from switchboard.exports.read import page_of, read

SHOWN: Final = 3
SHOWN_MESSAGES: Final = 20
"""Conversations that are shown, and messages of them."""
SAMPLES: Final = 300
SAMPLED_MESSAGES: Final = 5000
_GROUP: Final = 50


async def preview(export: Export) -> dict[str, Any]:
    """`sample`, `counts`, `estimated_bytes` and `anonymisation`."""
    counts: dict[str, Any] = await export.database.call(
        "measure_export",
        caller=export.caller,
        workspace_id=export.workspace_id,
        filters=export.filters,
        watermark=export.watermark["message_id"],
        samples=SAMPLES,
    )
    ids: list[int] = counts.pop("sample")
    key = (export.asked.key or secrets.token_bytes(32)) if export.asked.anonymize else None
    hiding = Hiding(key)
    return {
        "sample": export.format.show(await _first(export, Hiding(key)), export.asked.options),
        "counts": counts,
        "estimated_bytes": await _estimate(export, ids, counts, hiding),
        **hiding.report(),
    }


async def _first(export: Export, hiding: Hiding) -> list[Part]:
    """The first few conversations, each to the end of what is shown of it."""
    page = page_of(
        export.database,
        export.caller,
        export.workspace_id,
        filters=export.filters,
        watermark=export.watermark["message_id"],
        options=export.format.options(export.asked.options),
        max_messages=SHOWN_MESSAGES,
    )
    found = await page(None)
    return [part async for part in hiding.hide(_given(found["parts"][:SHOWN]))]


async def _estimate(export: Export, ids: list[int], counts: dict[str, int], hiding: Hiding) -> int:
    """Bytes of the whole file, from conversations evenly spread over it, written out and forgotten."""
    sampled: list[Any] = []
    messages = 0
    for place in range(0, len(ids), _GROUP):
        found = await export.database.call(
            "export_sample",
            caller=export.caller,
            workspace_id=export.workspace_id,
            conversation_ids=ids[place : place + _GROUP],
            watermark=export.watermark["message_id"],
            options=export.format.options(export.asked.options),
        )
        sampled += found["parts"]
        messages += sum(len(told) for _, told in found["parts"])
        if messages >= SAMPLED_MESSAGES:
            break
    parts = [part async for part in hiding.hide(_given(sampled))]
    empty = await _written(export, [], hiding)
    written = await _written(export, parts, hiding)
    return empty + round((written - empty) * counts["messages"] / messages) if messages else empty


async def _written(export: Export, parts: Iterable[Part], hiding: Hiding) -> int:
    manifest = export.manifest(hiding)
    size = 0
    async with aclosing(export.format.render(_each(parts, manifest), manifest, export.asked.options)) as chunks:
        async for chunk in chunks:
            size += len(chunk)
    return size


async def _each(parts: Iterable[Part], manifest: Manifest) -> AsyncGenerator[Part]:
    for part in parts:
        manifest.count(part)
        yield part


async def _given(told: list[Any]) -> AsyncGenerator[Part]:
    """The parts of a page that was read already."""

    async def page(after: list[Any] | None) -> dict[str, Any]:
        return {"parts": told if after is None else [], "after": [0]}

    async for part in read(page):
        yield part
