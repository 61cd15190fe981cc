"""The direct transport: asyncpg on any Postgres from 15 on, one round trip for each verb."""

import asyncio
import select
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import asyncpg

from switchboard.database import MAX_ROWS, Row, Where, statements
from switchboard.database.refusals import NotMigrated, refused, unreachable
from switchboard.database.statements import Signature, Statement
from switchboard.database.values import decode, encode
from switchboard.errors import DatabaseUnavailable, DatabaseUnreachable, Misconfigured

_ADDRESS = "DATABASE_URL is not of the form postgresql://user:password@host:port/database."
_IDLE_SECONDS = 120.0
_CONNECTING = 0.8
"""The share of a verb's deadline that getting a connection may take."""
_CLOSE_SECONDS = 0.5
"""A server that does not even take leave has no claim on the time the service has to stop in."""
_CHANGED = {"42883", "42703", "42704", "42P13", "0A000"}
"""What a call made with yesterday's signature fails with: no such function, argument, type; cached plan out of date."""
_BROKEN = (asyncpg.InterfaceError, asyncpg.InternalClientError, OSError)  # a TimeoutError is an OSError


async def open_postgres(
    dsn: str, *, pool_size: int, timeout: float, behind_pooler: bool = False, role: str | None = "service_role"
) -> "Postgres":
    """A database reached by ``dsn`` through at most ``pool_size`` connections.

    Connects when first used, so that the service starts while its database is away. ``timeout`` is the deadline of a
    verb in seconds, waiting and connecting included. ``behind_pooler``: nothing is kept in a session and the startup
    packet asks for nothing, so ``role`` is the login's own (`alter role … set role` makes it service_role).
    Raises `Misconfigured` if ``dsn`` cannot be one.
    """
    _check(dsn)
    settings = {
        "application_name": "switchboard",
        "timezone": "UTC",
        "jit": "off",
        # A little before the deadline, so that the database says itself that it is too slow, and stops working on it.
        "statement_timeout": str(max(1, int(timeout * 900))),
        **({"role": role} if role else {}),
    }
    pool: asyncpg.Pool[_Connection] = await asyncpg.create_pool(
        dsn,
        min_size=0,
        max_size=pool_size,
        max_inactive_connection_lifetime=_IDLE_SECONDS,
        init=_prepare,
        reset=_keep,
        connection_class=_Connection,
        statement_cache_size=0 if behind_pooler else 100,
        server_settings=None if behind_pooler else settings,
    )
    return Postgres(pool, timeout=timeout)


class Postgres:
    """`switchboard.database.Database` on a pool of direct connections."""

    def __init__(self, pool: "asyncpg.Pool[_Connection]", *, timeout: float) -> None:
        """See `open_postgres`."""
        self._pool = pool
        self._timeout = timeout
        self._signatures: dict[str, Signature] = {}

    async def select(
        self,
        table: str,
        *,
        columns: Sequence[str] = (),
        where: Where | None = None,
        order: Sequence[str] = (),
        limit: int = MAX_ROWS,
    ) -> list[Row]:
        """See `switchboard.database.Database.select`."""
        return await self._settle(self._fetch(statements.select(table, columns, where or {}, order, limit)))

    async def insert(self, table: str, rows: Sequence[Row]) -> list[Row]:
        """See `switchboard.database.Database.insert`."""
        return await self._settle(self._fetch(statements.insert(table, rows))) if rows else []

    async def update(self, table: str, values: Row, *, where: Where) -> list[Row]:
        """See `switchboard.database.Database.update`."""
        return await self._settle(self._fetch(statements.update(table, values, where)))

    async def delete(self, table: str, *, where: Where) -> list[Row]:
        """See `switchboard.database.Database.delete`."""
        return await self._settle(self._fetch(statements.delete(table, where)))

    async def call(self, function: str, /, **arguments: Any) -> Any:
        """See `switchboard.database.Database.call`."""
        return await self._settle(self._call(statements.checked(function), arguments))

    async def close(self) -> None:
        """Gives the connections back; what still runs when the deadline has passed is cut off."""
        with suppress(TimeoutError):
            async with asyncio.timeout(min(self._timeout, _CLOSE_SECONDS)):
                await self._pool.close()

    async def _settle(self, work: Coroutine[Any, Any, Any]) -> Any:
        """The border: nothing takes longer than the deadline, and every error is one of the house."""
        try:
            async with asyncio.timeout(self._timeout):
                return await work
        except asyncpg.PostgresError as error:
            raise refused(error.sqlstate, error.message or "", constraint=error.constraint_name) from error
        except _BROKEN as error:
            raise DatabaseUnavailable from error

    async def _call(self, function: str, arguments: dict[str, Any]) -> Any:
        signature = self._signatures.get(function)
        if signature is None or not signature.takes(arguments):
            signature = await self._read_signature(function, arguments)
        try:
            return await self._fetch(statements.call(function, signature, arguments))
        except asyncpg.PostgresError as error:
            # Refused is rolled back: nothing has happened, and trying once more with what is true now does no harm.
            fresh = await self._read_signature(function, arguments) if error.sqlstate in _CHANGED else signature
            if fresh == signature:
                raise
        return await self._fetch(statements.call(function, fresh, arguments))

    async def _read_signature(self, function: str, arguments: dict[str, Any]) -> Signature:
        found: list[Row] = await self._fetch(Statement(statements.SIGNATURE, {"function": function})) or []
        fitting = [each for each in map(Signature.read, found) if each.takes(arguments)]
        if len(fitting) != 1:
            problem = f"has {len(fitting)} functions {function}({', '.join(sorted(arguments))})"
            raise NotMigrated(f"The database {problem}: run `switchboard migrate`.")
        self._signatures[function] = fitting[0]
        return fitting[0]

    async def _fetch(self, statement: Statement) -> Any:
        arguments = () if statement.value is None else (encode(statement.value),)
        connection = await self._acquire()
        try:
            return await connection.fetchval(statement.sql, *arguments)
        except asyncpg.PostgresError:
            raise
        except BaseException:
            # Cancelled, out of time, or broken. asyncpg would now ask the server to cancel, and wait for it as long as
            # the server likes; a connection that is gone costs the next call a new one.
            connection.terminate()
            raise
        finally:
            await self._pool.release(connection)

    async def _acquire(self) -> "_Connection":
        """A connection on which nothing was sent yet. Raises `DatabaseUnreachable` when there is none to be had."""
        while True:
            try:
                # Ends before the deadline of the verb does, which could not tell waiting from having asked.
                async with asyncio.timeout(self._timeout * _CONNECTING):
                    connection = await self._pool.acquire()
            except asyncpg.PostgresError as error:
                raise unreachable(error.sqlstate) from error
            except asyncpg.ClientConfigurationError as error:
                raise Misconfigured(_ADDRESS) from error
            except _BROKEN as error:
                raise DatabaseUnreachable from error
            if not connection.has_news():
                return connection
            # Nothing was sent on this connection yet, so taking another one cannot repeat anything. Once something has
            # been sent, a lost connection does not tell whether it was done, and nobody here tries again.
            connection.terminate()


class _Connection(asyncpg.Connection):
    def has_news(self) -> bool:
        """Whether the server spoke, or hung up, while nobody asked: it was restarted, or threw this session out.

        The event loop gets to see that only when it is idle, so a call right after a restart would be sent in vain.
        """
        socket = self._transport.get_extra_info("socket")
        if socket is None or socket.fileno() < 0:
            return True
        waiting = select.poll()
        waiting.register(socket.fileno(), select.POLLIN)
        return bool(waiting.poll(0))


async def _prepare(connection: _Connection) -> None:
    # JSON goes over as it is, and in the binary form, which for jsonb is a version byte and the same text.
    await connection.set_type_codec(
        "jsonb",
        schema="pg_catalog",
        format="binary",
        encoder=lambda text: b"\x01" + text,
        decoder=lambda b: decode(b[1:]),
    )
    await connection.set_type_codec("json", schema="pg_catalog", format="binary", encoder=bytes, decoder=decode)


async def _keep(connection: _Connection) -> None:
    """Instead of asyncpg's reset, which costs a round trip for each call: no verb leaves anything in a session."""


def _check(dsn: str) -> None:
    try:
        address = urlsplit(dsn)
        fits = address.scheme in {"postgres", "postgresql"} and address.port != 0
    except ValueError:
        fits = False
    if not fits:
        raise Misconfigured(_ADDRESS)
