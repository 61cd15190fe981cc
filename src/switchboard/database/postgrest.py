"""The transport for those who have Supabase's address and keys only: supabase-py, over the project's REST API.

One transaction for each request, at most `MAX_ROWS` rows for each answer, and statements are stopped after the seconds
the project allows (8 for its service role, if nothing else is set).
"""

import asyncio
import re
from collections.abc import Awaitable, Sequence
from typing import Any, Protocol, Self, TypeVar, cast
from urllib.parse import quote

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport
from postgrest import APIError
from supabase import AsyncClient, AsyncClientOptions, AsyncSupabaseException, acreate_client

from switchboard.database import MAX_ROWS, Row, Where
from switchboard.database.refusals import refused
from switchboard.database.statements import checked, meaning, not_empty, same_columns
from switchboard.database.values import encode, plain
from switchboard.errors import DatabaseUnavailable, DatabaseUnreachable, Misconfigured, SwitchboardError

_KEY = "SUPABASE_SERVICE_ROLE_KEY is not accepted by the project at SUPABASE_URL."
_CONSTRAINT = re.compile(r'constraint "([^"]+)"')
_OPERATORS = {
    "=": "eq",
    "<": "lt",
    "<=": "lte",
    ">": "gt",
    ">=": "gte",
    "!=": "neq",
    "in": "in",
    "is": "is",
    "is not": "not.is",
}
_NOT_CONNECTED = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)
"""What aiohttp raises before anything of a request was sent."""
_NOT_ASKED = {"PGRST000", "PGRST002", "PGRST003"}
"""No connection to the database, no schema yet, no free connection in time; with PGRST001 one broke in use.

https://docs.postgrest.org/en/stable/references/errors.html#group-0-connection
"""
_LONGEST_FILTER = 6000
"""Characters; gateways in front of PostgREST refuse addresses of 8,000 and more."""
_IDLE_SECONDS = 15.0
"""Less than PostgREST and the gateways in front of it keep an idle connection, so that it is us who close it."""


async def open_postgrest(url: str, service_key: str, *, timeout: float, pool_size: int = 100) -> "Postgrest":
    """A database reached through the project at ``url`` with its secret key, which nobody must sign in with.

    ``timeout`` is the deadline of a verb in seconds, connecting included; ``pool_size`` the most requests at a time.
    Nothing is sent yet. Raises `Misconfigured` if ``url`` or ``service_key`` cannot be right.
    """
    if service_key.startswith("sb_publishable_"):
        raise Misconfigured("SUPABASE_SERVICE_ROLE_KEY is the publishable key: use the secret one.")
    limits = httpx.Limits(max_connections=pool_size, keepalive_expiry=_IDLE_SECONDS)
    # Connecting ends before the deadline of the verb does, which could not tell it from having asked.
    waits = httpx.Timeout(timeout, connect=timeout * 0.8, pool=timeout * 0.8)
    session = httpx.AsyncClient(transport=_Checked(AiohttpTransport(limits=limits)), timeout=waits)
    options = AsyncClientOptions(
        schema="public",
        httpx_client=session,
        auto_refresh_token=False,
        persist_session=False,
        # A second try is the caller's decision: supabase-py's own would take seven seconds over a server that is away.
        postgrest_client_retry=False,
    )
    try:
        client = await acreate_client(url, service_key, options)
    except AsyncSupabaseException as error:
        await session.aclose()
        raise Misconfigured(f"SUPABASE_URL or SUPABASE_SERVICE_ROLE_KEY: {error.message}.") from error
    return Postgrest(client, session, timeout=timeout)


class Postgrest:
    """`switchboard.database.Database` on Supabase's REST API."""

    def __init__(self, client: AsyncClient, session: httpx.AsyncClient, *, timeout: float) -> None:
        """See `open_postgrest`."""
        self._client = client
        self._session = session
        self._timeout = timeout

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
        if limit < 0:
            raise ValueError(f"a limit of {limit} rows")
        request = _filtered(self._table(table).select(*map(checked, columns)), where or {})
        for column in order:
            request = request.order(checked(column.removeprefix("-")), desc=column.startswith("-"))
        return await self._settle(request.limit(min(limit, MAX_ROWS)).execute())

    async def insert(self, table: str, rows: Sequence[Row]) -> list[Row]:
        """See `switchboard.database.Database.insert`."""
        if not rows:
            return []
        same_columns(rows)
        return await self._settle(self._table(table).insert(plain(rows)).execute())

    async def update(self, table: str, values: Row, *, where: Where) -> list[Row]:
        """See `switchboard.database.Database.update`."""
        same_columns([values])
        request = self._table(table).update(plain(values))
        return await self._settle(_filtered(request, not_empty(where)).execute())

    async def delete(self, table: str, *, where: Where) -> list[Row]:
        """See `switchboard.database.Database.delete`."""
        request = self._table(table).delete()
        return await self._settle(_filtered(request, not_empty(where)).execute())

    async def call(self, function: str, /, **arguments: Any) -> Any:
        """See `switchboard.database.Database.call`."""
        return await self._settle(self._client.rpc(checked(function), plain(arguments)).execute())

    async def close(self) -> None:
        """Gives back the connections."""
        await self._session.aclose()

    def _table(self, table: str) -> Any:
        # Any, because the bodies supabase-py takes are typed with parts left unknown.
        return self._client.table(checked(table))

    async def _settle(self, request: Awaitable[Any]) -> Any:
        """The border: nothing takes longer than the deadline, and every error is one of the house."""
        try:
            async with asyncio.timeout(self._timeout):
                return (await request).data
        except APIError as error:
            raise _refused(error.code or "", error.message or "") from error
        except (httpx.HTTPError, aiohttp.ClientError, OSError) as error:  # a TimeoutError is an OSError
            # httpx's own ConnectTimeout will not do: the transport also calls a connection so that broke after the
            # request was sent. What aiohttp said is its cause.
            asked = not isinstance(error.__cause__, _NOT_CONNECTED)
            raise (DatabaseUnavailable if asked else DatabaseUnreachable) from error


class _Filterable(Protocol):
    def filter(self, column: str, operator: str, criteria: str) -> Self: ...


_Request = TypeVar("_Request", bound=_Filterable)


class _Checked(httpx.AsyncBaseTransport):
    """Lets through what PostgREST itself said, in the form in which supabase-py understands it.

    supabase-py takes any answer with a good status for data: a gateway's page becomes a text, no answer an empty list.
    """

    def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
        self._inner = inner

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await self._inner.handle_async_request(request)
        try:
            body = await response.aread()
        finally:
            await response.aclose()
        if response.is_success and not body:
            return httpx.Response(200, content=b"null", headers={"content-type": "application/json"})
        if "json" not in response.headers.get("content-type", ""):
            raise DatabaseUnavailable
        if response.is_error and not _says_code(response):
            raise Misconfigured(_KEY) if response.status_code in {401, 403} else DatabaseUnavailable
        return response

    async def aclose(self) -> None:
        await self._inner.aclose()


def _says_code(response: httpx.Response) -> bool:
    try:
        body = response.json()
    except ValueError:
        return False
    return isinstance(body, dict) and bool(cast("Row", body).get("code"))


def _refused(code: str, message: str) -> SwitchboardError:
    if code.startswith("PGRST3"):
        return Misconfigured(_KEY)
    if code in _NOT_ASKED:
        return DatabaseUnreachable()
    if code.startswith("PGRST0"):
        # PostgREST is there, and lost the database in the middle.
        return DatabaseUnavailable()
    constraint = _CONSTRAINT.search(message)
    return refused(code, message, constraint=constraint[1] if constraint else None)


def _filtered(request: _Request, where: Where) -> _Request:
    for column, wanted in where.items():
        operator, value = meaning(wanted)
        criteria = f"({','.join(map(_item, value))})" if operator == "in" else _text(value)
        if len(quote(criteria)) > _LONGEST_FILTER:
            raise ValueError(f"too much to compare {column!r} with in an address: make a function of it")
        request = request.filter(checked(column), _OPERATORS[operator], criteria)
    return request


def _text(value: Any) -> str:
    """As PostgREST reads it in an address: a string as it is, anything else as JSON."""
    text = encode(value).decode()
    return value if isinstance(value, str) else text


def _item(value: Any) -> str:
    """As PostgREST reads it in a list: a string in quotes, so that its commas are its own."""
    text = _text(value)
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"' if isinstance(value, str) else text
