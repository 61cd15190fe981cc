import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import httpx
import pytest
from aiohttp import web

from stands.clusters import Cluster, free_port
from stands.supabase import Supabase
from switchboard.database.postgrest import Postgrest, open_postgrest
from switchboard.errors import (
    Conflict,
    DatabaseTooSlow,
    DatabaseUnavailable,
    DatabaseUnreachable,
    Misconfigured,
    SwitchboardError,
)

KEY = "sb_secret_of_a_project"
Opener = Callable[..., Awaitable[Postgrest]]


@pytest.fixture
async def opened() -> AsyncIterator[Opener]:
    """Opens transports and closes them after the test."""
    async with AsyncExitStack() as stack:

        async def make(url: str, key: str = KEY, **options: Any) -> Postgrest:
            database = await open_postgrest(url, key, **{"timeout": 2.0, **options})
            stack.push_async_callback(database.close)
            return database

        yield make


class Gateway:
    """What stands in front of PostgREST, answering as told; keeps what it was asked."""

    def __init__(self) -> None:
        self.answer: Callable[[web.Request], Awaitable[web.StreamResponse]] = self.refuse
        self.asked: list[web.Request] = []
        self.port = free_port()
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(application, shutdown_timeout=0.1, handler_cancellation=True)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()

    async def stop(self) -> None:
        if self._runner:
            await self._runner.cleanup()

    def says(self, status: int, body: bytes | str, kind: str = "application/json", **headers: str) -> None:
        async def answer(request: web.Request) -> web.StreamResponse:
            text = body.encode() if isinstance(body, str) else body
            return web.Response(status=status, body=text, headers={"content-type": kind, **headers})

        self.answer = answer

    async def refuse(self, request: web.Request) -> web.StreamResponse:
        return web.Response(status=500)

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request)
        return await self.answer(request)


@pytest.fixture
async def gateway() -> AsyncIterator[Gateway]:
    made = Gateway()
    await made.start()
    yield made
    await made.stop()


VERBS: list[Callable[[Postgrest], Awaitable[Any]]] = [
    lambda database: database.select("boxes"),
    lambda database: database.insert("boxes", [{"label": "a"}]),
    lambda database: database.update("boxes", {"label": "a"}, where={"id": 1}),
    lambda database: database.delete("boxes", where={"id": 1}),
    lambda database: database.call("add", a=1),
]


async def outcome(work: Awaitable[Any]) -> tuple[Any, float]:
    begun = time.monotonic()
    try:
        result: Any = await work
    except SwitchboardError as error:
        result = error
    return result, time.monotonic() - begun


# away -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", VERBS)
async def test_a_server_that_is_away_costs_next_to_nothing(
    opened: Opener, verb: Callable[[Postgrest], Awaitable[Any]]
) -> None:
    # supabase-py by itself would try a select four times, over seven seconds.
    taken: list[float] = []
    for _ in range(3):  # once may be slow for reasons of the machine's; what tries again is slow every time
        result, seconds = await outcome(verb(await opened(f"http://127.0.0.1:{free_port()}")))
        assert isinstance(result, DatabaseUnreachable)
        taken.append(seconds)
    assert min(taken) < 0.5


@pytest.mark.parametrize("verb", VERBS)
async def test_nothing_is_tried_twice(
    opened: Opener, gateway: Gateway, verb: Callable[[Postgrest], Awaitable[Any]]
) -> None:
    gateway.says(503, '{"code": "PGRST002", "message": "no schema cache", "details": null, "hint": null}')
    result, _ = await outcome(verb(await opened(gateway.url)))
    assert isinstance(result, DatabaseUnavailable)
    assert len(gateway.asked) == 1


@pytest.mark.parametrize("verb", VERBS)
async def test_a_server_that_does_not_answer_costs_the_deadline(
    opened: Opener, gateway: Gateway, verb: Callable[[Postgrest], Awaitable[Any]]
) -> None:
    async def never(request: web.Request) -> web.StreamResponse:
        await asyncio.Event().wait()
        raise AssertionError

    gateway.answer = never
    database = await opened(gateway.url, timeout=0.3)
    for result, seconds in await asyncio.gather(*[outcome(verb(database)) for _ in range(5)]):
        assert isinstance(result, DatabaseUnavailable)
        assert 0.25 < seconds < 0.6


async def test_only_what_was_never_sent_counts_as_not_asked(opened: Opener, gateway: Gateway) -> None:
    async def hang_up(request: web.Request) -> web.StreamResponse:
        assert request.transport
        request.transport.abort()
        return web.Response()

    # The transport reports this as a timeout while connecting, though the request has been read and may be done.
    gateway.answer = hang_up
    result, _ = await outcome((await opened(gateway.url)).call("add", a=1))
    assert type(result) is DatabaseUnavailable
    assert len(gateway.asked) == 1
    for address in ("http://nobody.invalid", f"http://127.0.0.1:{free_port()}"):
        result, _ = await outcome((await opened(address)).call("add", a=1))
        assert type(result) is DatabaseUnreachable


async def test_who_waits_for_a_connection_in_vain_has_asked_nothing(opened: Opener, gateway: Gateway) -> None:
    async def slow(request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(5)
        return web.json_response(11)

    gateway.answer = slow
    database = await opened(gateway.url, timeout=0.5, pool_size=1)
    results = await asyncio.gather(*[outcome(database.call("add", a=1)) for _ in range(3)])
    kinds: list[type[Any]] = [type(result) for result, _ in results]
    assert (kinds.count(DatabaseUnavailable), kinds.count(DatabaseUnreachable)) == (1, 2)
    assert len(gateway.asked) == 1


async def test_a_server_that_drips_costs_the_deadline(opened: Opener, gateway: Gateway) -> None:
    async def drip(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "application/json"})
        await response.prepare(request)
        while True:
            await response.write(b" ")
            await asyncio.sleep(0.05)

    gateway.answer = drip
    result, seconds = await outcome((await opened(gateway.url, timeout=0.3)).call("add", a=1))
    assert isinstance(result, DatabaseUnavailable)
    assert 0.25 < seconds < 0.6


async def test_requests_beyond_the_pool_wait_within_their_deadline(opened: Opener, gateway: Gateway) -> None:
    present: list[int] = [0]

    async def slow(request: web.Request) -> web.StreamResponse:
        present.append(present[-1] + 1)
        try:
            await asyncio.sleep(0.8)
        finally:  # also when the client has hung up
            present.append(present[-1] - 1)
        return web.json_response(11)

    gateway.answer = slow
    database = await opened(gateway.url, timeout=1.2, pool_size=1)
    results = await asyncio.gather(*[outcome(database.call("add", a=1)) for _ in range(4)])
    assert [result for result, _ in results if not isinstance(result, SwitchboardError)] == [11]
    assert all(seconds < 2.5 for _, seconds in results)
    # One after the other, until the deadline cuts the second off and what comes then may meet its end.
    assert present[:4] == [0, 1, 0, 1]


async def test_a_connection_cut_in_the_middle_of_an_answer(opened: Opener, gateway: Gateway) -> None:
    async def cut(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "application/json", "content-length": "100"})
        await response.prepare(request)
        await response.write(b'[{"id": 1},')
        assert request.transport
        request.transport.abort()
        return response

    gateway.answer = cut
    for verb in VERBS:
        result, _ = await outcome(verb(await opened(gateway.url)))
        assert isinstance(result, DatabaseUnavailable)


async def test_it_works_again_when_the_server_is_back(opened: Opener, gateway: Gateway) -> None:
    gateway.says(200, "11")
    database = await opened(gateway.url)
    assert await database.call("add", a=1) == 11
    await gateway.stop()
    result, seconds = await outcome(database.call("add", a=1))
    assert isinstance(result, DatabaseUnavailable)
    assert seconds < 0.5
    await gateway.start()
    assert await database.call("add", a=1) == 11


# not PostgREST --------------------------------------------------------------------------------------------------

PAGE = "<!doctype html><html><body>502 Bad Gateway, from somebody on the way</body></html>"


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (502, PAGE, "text/html"),
        (503, PAGE, "text/html; charset=utf-8"),
        (520, PAGE, "text/html"),
        (504, "", "text/plain"),
        (500, "", "application/json"),
        (503, '{"message": "name resolution failed"}', "application/json"),
        (503, "not json at all", "application/json"),
        (429, '{"message": "API rate limit exceeded"}', "application/json"),
        (404, PAGE, "text/html"),
        (200, PAGE, "text/html"),
        (200, "OK", "text/plain"),
        (302, "", "text/html"),
    ],
)
async def test_what_somebody_else_says_is_neither_data_nor_an_error_of_ours(
    opened: Opener,
    gateway: Gateway,
    verb: Callable[[Postgrest], Awaitable[Any]],
    status: int,
    body: str,
    kind: str,
) -> None:
    gateway.says(status, body, kind, **({"location": "https://elsewhere.example"} if status == 302 else {}))
    result, _ = await outcome(verb(await opened(gateway.url)))
    assert type(result) is DatabaseUnavailable
    assert "html" not in str(result)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (401, '{"message": "Invalid API key", "hint": "Double check your Supabase `anon` or `service_role` API key."}'),
        (401, '{"message": "No API key found in request"}'),
        (403, '{"message": "You cannot consume this service"}'),
        (401, '{"code": "PGRST301", "message": "JWSError JWSInvalidSignature", "details": null, "hint": null}'),
        (401, '{"code": "PGRST303", "message": "JWT expired", "details": null, "hint": null}'),
        (401, '{"code": "PGRST302", "message": "Anonymous access is disabled", "details": null, "hint": null}'),
    ],
)
async def test_a_key_that_is_not_accepted_is_named(opened: Opener, gateway: Gateway, status: int, body: str) -> None:
    gateway.says(status, body)
    for verb in VERBS:
        with pytest.raises(Misconfigured, match="SUPABASE_SERVICE_ROLE_KEY"):
            await verb(await opened(gateway.url))


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (503, "PGRST000", DatabaseUnreachable),
        (503, "PGRST001", DatabaseUnavailable),
        (503, "PGRST002", DatabaseUnreachable),
        (504, "PGRST003", DatabaseUnreachable),
        (400, "PGRST100", SwitchboardError),
        (404, "PGRST202", Misconfigured),
        (400, "PGRST204", Misconfigured),
        (404, "PGRST205", Misconfigured),
        (500, "57014", DatabaseTooSlow),
        (503, "53300", DatabaseUnavailable),
        (500, "40001", DatabaseUnavailable),
        (500, "57P01", DatabaseUnavailable),
        (500, "08006", DatabaseUnavailable),
    ],
)
async def test_what_postgrest_says_is_understood(
    opened: Opener, gateway: Gateway, status: int, code: str, kind: type[SwitchboardError]
) -> None:
    gateway.says(status, json.dumps({"code": code, "message": "secret words", "details": "more", "hint": None}))
    for verb in VERBS:
        result, _ = await outcome(verb(await opened(gateway.url)))
        assert type(result) is kind or (kind is Misconfigured and isinstance(result, kind))
        assert "secret" not in str(result)


async def test_a_constraint_is_read_from_the_message(opened: Opener, gateway: Gateway) -> None:
    words = 'duplicate key value violates unique constraint "workspaces_name_key"'
    gateway.says(409, json.dumps({"code": "23505", "message": words, "details": "Key (name)=(x)", "hint": None}))
    with pytest.raises(Conflict, match="workspace of this name"):
        await (await opened(gateway.url)).insert("workspaces", [{"name": "x"}])


@pytest.mark.parametrize(
    ("status", "body", "value"), [(204, "", None), (200, "null", None), (200, '""', ""), (200, "[]", [])]
)
async def test_no_answer_is_none_and_an_empty_list_is_one(
    opened: Opener, gateway: Gateway, status: int, body: str, value: Any
) -> None:
    gateway.says(status, body)
    assert await (await opened(gateway.url)).call("do_nothing") == value


# what is sent ---------------------------------------------------------------------------------------------------


async def test_every_request_carries_the_key(opened: Opener, gateway: Gateway) -> None:
    gateway.says(200, "[]")
    database = await opened(gateway.url)
    for verb in VERBS:
        await verb(database)
    assert {request.headers["apikey"] for request in gateway.asked} == {KEY}
    assert {request.headers["authorization"] for request in gateway.asked} == {f"Bearer {KEY}"}
    assert {request.path for request in gateway.asked} == {"/rest/v1/boxes", "/rest/v1/rpc/add"}


@pytest.mark.parametrize(
    ("url", "key"),
    [("", KEY), ("project.supabase.co", KEY), ("ftp://x", KEY), ("https://x", ""), ("https://x", "sb_publishable_x")],
)
async def test_settings_that_cannot_be_right_are_refused_at_once(url: str, key: str) -> None:
    with pytest.raises(Misconfigured, match="SUPABASE_") as caught:
        await open_postgrest(url, key, timeout=1)
    assert key not in caught.value.message or not key


async def test_a_list_too_long_for_an_address_is_a_mistake_of_ours(opened: Opener, gateway: Gateway) -> None:
    gateway.says(200, "[]")
    database = await opened(gateway.url)
    await database.select("boxes", where={"id": list(range(1000))})
    with pytest.raises(ValueError, match="too much to compare 'id'"):
        await database.select("boxes", where={"id": list(range(2000))})


# the stand-in for Supabase --------------------------------------------------------------------------------------


async def test_a_wrong_key_at_a_real_project(opened: Opener, supabase: Supabase) -> None:
    with pytest.raises(Misconfigured, match="SUPABASE_SERVICE_ROLE_KEY"):
        await (await opened(supabase.url, "sb_secret_of_another_project")).call("applied_migrations")


async def test_what_is_new_in_the_schema_is_seen_after_a_notice(
    postgrest: Postgrest, cluster: Cluster, database_url: str
) -> None:
    with pytest.raises(Misconfigured, match="switchboard migrate"):
        await postgrest.call("brand_new")
    made = "create function brand_new() returns integer language sql as 'select 1'; notify pgrst, 'reload schema'"
    await cluster.execute(made, database_url.rpartition("/")[2])
    async with asyncio.timeout(5):
        while True:
            try:
                assert await postgrest.call("brand_new") == 1
            except Misconfigured:
                await asyncio.sleep(0.02)
            else:
                break


async def test_people_see_their_own_rows_and_strangers_none(
    supabase: Supabase, cluster: Cluster, database_url: str
) -> None:
    name = database_url.rpartition("/")[2]
    await cluster.execute(
        """
        create table diaries (owner text not null, words text);
        alter table diaries enable row level security;
        create policy own on diaries for select to authenticated using (owner = (select auth.uid())::text);
        grant select on diaries to authenticated, anon;
        insert into diaries values ('00000000-0000-4000-8000-00000000000a', 'of a'), ('b', 'of b');
        notify pgrst, 'reload schema';
        """,
        name,
    )
    token = supabase.token("00000000-0000-4000-8000-00000000000a")
    async with httpx.AsyncClient(base_url=f"{supabase.url}/rest/v1", headers={"apikey": supabase.anon_key}) as client:

        async def read(authorization: str) -> httpx.Response:
            return await client.get("/diaries", headers={"authorization": f"Bearer {authorization}"})

        async with asyncio.timeout(5):
            while (answer := await read(token)).status_code == 404:
                await asyncio.sleep(0.02)
        assert [row["words"] for row in answer.json()] == ["of a"]
        assert (await read(supabase.anon_key)).json() == []
        assert (await read(supabase.token("x", exp=1))).status_code == 401
        assert (await read(token[:-4] + "AAAA")).status_code == 401
    async with httpx.AsyncClient(headers={"apikey": supabase.service_key}) as client:
        assert len((await client.get(f"{supabase.url}/rest/v1/diaries")).json()) == 2
