"""Connections that call the house's functions one statement at a time, so that two can be brought into every order."""

import asyncio
import json
from collections.abc import Awaitable
from typing import Any

import asyncpg

from stands.desk import PAGE


class Hand:
    """One connection with a transaction open, that calls the house's functions; whether it waits can be seen."""

    def __init__(self, connection: asyncpg.Connection, watch: asyncpg.Connection) -> None:
        self._connection = connection
        self._watch = watch
        self._process = 0

    async def begin(self) -> None:
        """Opens the transaction."""
        self._process = await self._connection.fetchval("select pg_backend_pid()")
        await self._connection.execute("begin")

    async def commit(self) -> None:
        """Ends it."""
        await self._connection.execute("commit")

    async def rollback(self) -> None:
        """Undoes it."""
        await self._connection.execute("rollback")

    async def erase(self, conversation: int) -> None:
        """Deletes a conversation with all that belongs to it."""
        await self._connection.execute("delete from conversations where id = $1", conversation)

    async def call(self, function: str, **arguments: Any) -> Any:
        """Calls a function of the house inside the transaction."""
        placed = ", ".join(f"{name} => ${place}" for place, name in enumerate(arguments, start=1))
        values = [_written(value) for value in arguments.values()]
        found = await self._connection.fetchval(f"select {function}({placed})", *values)
        return json.loads(found) if isinstance(found, str) and found else found

    async def receives(self, mid: str, text: str = "Hi") -> int:
        """Keeps a webhook with one message and sorts it; how many messages were new."""
        event: dict[str, Any] = {
            "kind": "message",
            "platform": "messenger",
            "account": PAGE,
            "customer": "u1",
            "data": {},
        }
        events = [{**event, "external_id": mid, "text": text}]
        await self.call("accept_webhook", platform="messenger", text="{}", body=None)
        (webhook,) = await self.call("unsorted_webhooks", most_bytes=1)
        part = {"platform": "messenger", "account": PAGE, "body": None, "events": events}
        return int((await self.call("sort_inbox", read=[{"id": webhook["id"], "parts": [part]}]))["received"])

    async def waits(self, work: Awaitable[Any]) -> "asyncio.Task[Any]":
        """Starts ``work`` on this connection and returns when it is seen to wait for somebody's lock."""
        task = asyncio.ensure_future(work)
        async with asyncio.timeout(5):
            while not await self._watch.fetchval("select cardinality(pg_blocking_pids($1)) > 0", self._process):
                assert not task.done(), f"did not wait: {task.result()}"
                await asyncio.sleep(0.005)
        return task


def _written(value: Any) -> Any:
    """Objects and lists of objects go as JSON; a list of texts is an array."""
    match value:
        case dict() | [dict(), *_]:
            return json.dumps(value)
        case _:
            return value
