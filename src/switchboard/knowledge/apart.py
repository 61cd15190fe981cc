"""Reading a document away from the service, so that no file can slow it, fill it or bring it down."""

import asyncio
import contextlib
import sys
from typing import Final

import orjson

from switchboard.knowledge.readers import Kind, Section, Unreadable, read

SECONDS: Final = 30.0
"""How long one document may be read."""
_HERE: Final[frozenset[Kind]] = frozenset({"text", "markdown", "csv"})
"""Kinds that are read in a thread: in one pass, by code that allocates no more than a few times the file."""


async def read_apart(kind: Kind, body: bytes, *, seconds: float = SECONDS) -> list[Section]:
    """The sections of a document. Raises `Unreadable` with the reason, also for one that takes too long or too much."""
    if kind in _HERE:
        return await asyncio.to_thread(read, kind, body)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", "-m", "switchboard.knowledge.readers", kind),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env={},
        cwd="/",
    )
    try:
        async with asyncio.timeout(seconds):
            told, _ = await process.communicate(body)
    except TimeoutError:
        raise Unreadable(f"It takes longer than {seconds:g} seconds to read this document: split it.") from None
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
    return _sections(told, process.returncode)


def _sections(told: bytes, status: int | None) -> list[Section]:
    if status != 0:
        # Out of processor time (SIGXCPU), out of memory, or a parser that fell over: the file did that.
        raise Unreadable("The document cannot be read: it is broken, or too much for its reader. Save it anew.")
    answer = orjson.loads(told)
    if "unreadable" in answer:
        raise Unreadable(str(answer["unreadable"]))
    return [Section(tuple(path), text, whole) for path, text, whole in answer["sections"]]
