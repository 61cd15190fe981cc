"""The service with a protection taken out of its program, as a process: what a checker has to notice."""

import sys

from faults.field import Field
from faults.fleet import Member

UNSIGNED = "from switchboard.channels.messenger import Messenger; Messenger.verify = lambda self, headers, body: None"
"""Takes every webhook for Meta's."""
LEAKING = """
import asyncio, os, threading, time
import asyncpg
kept = []
async def leak():
    await asyncio.sleep(2)
    kept.append(b"x" * 300_000_000)
    for _ in range(70):
        kept.append(await asyncpg.connect(os.environ["DATABASE_URL"]))
    await asyncio.Event().wait()
threading.Thread(target=lambda: asyncio.run(leak()), daemon=True).start()
"""
"""Opens connections beside its pools, and keeps what it should forget."""


def tampered(field: Field, like: str, code: str, *, data: str | None = None) -> Member:
    """A process like one of the field's, with its port and log, after ``code``; ``data``: a folder of its own."""
    model = field.fleet[like]
    verb = "serve" if model.serves else "work"
    program = f"{code}\nimport sys; from switchboard.cli import main; sys.exit(main())"
    env = model.env | ({"DATA_DIR": data} if data else {})
    return Member(model.name, (sys.executable, "-c", program, verb), model.folder, env, model.port)
