"""Reading an answer that is told as server-sent events."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx

EVENTS = {"accept": "text/event-stream"}


@dataclass(frozen=True)
class Event:
    """One event and its data."""

    name: str
    data: Any


async def read(answer: httpx.Response) -> AsyncIterator[Event]:
    """The events of a stream, as they come; comments are left out."""
    assert answer.headers["content-type"].startswith("text/event-stream"), await answer.aread()
    name = ""
    async for line in answer.aiter_lines():
        if line.startswith("event: "):
            name = line.removeprefix("event: ")
        elif line.startswith("data: "):
            yield Event(name, json.loads(line.removeprefix("data: ")))


@asynccontextmanager
async def telling(
    client: httpx.AsyncClient, path: str, body: Any, **headers: str
) -> AsyncIterator[AsyncIterator[Event]]:
    """The events of a POST; leaving hangs up."""
    async with client.stream("POST", path, json=body, headers={**EVENTS, **headers}) as answer:
        if answer.status_code >= 400:
            await answer.aread()
        assert answer.status_code < 300, answer.text
        yield read(answer)


async def hear(client: httpx.AsyncClient, path: str, body: Any, **headers: str) -> list[Event]:
    """All events of a POST."""
    async with telling(client, path, body, **headers) as events:
        return [event async for event in events]


def said(events: list[Event]) -> str:
    """The deltas, joined, as a client would show them at the end."""
    text = ""
    for event in events:
        text = "" if event.name == "discarded" else text + event.data["text"] if event.name == "delta" else text
    return text


def only(events: list[Event], name: str) -> Any:
    """The data of the one event of this name."""
    (found,) = [event.data for event in events if event.name == name]
    return found
