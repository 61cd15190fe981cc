"""P3: one reply, from a due turn to the stored answer, against the same call by the vendor's SDK alone."""

import time
from contextlib import AsyncExitStack
from typing import Any

import aiohttp

from benchmarks import ground, servers, talks
from benchmarks.measure import Figures, Report, Rounds, Scale, Table, interleave, percentile
from benchmarks.servers import Server
from stands.supabase import SupabaseServer
from switchboard.channels.registry import open_channels
from switchboard.database import Database
from switchboard.database.postgres import open_postgres
from switchboard.database.postgrest import open_postgrest
from switchboard.providers.registry import open_providers
from switchboard.providers.wire import open_client
from switchboard.replies.answer import Desk, Generate, answer
from switchboard.replies.models import Models
from switchboard.replies.turn import Turn
from switchboard.settings import Settings, load

COMPARED = (
    "A turn of a Messenger customer: claimed with its context, knowledge looked up, the prompt built, the model called,"
    " the answer stored with its receipt and queued for sending, committed; with the lease, the typing sign and all"
    " checks. Against `AsyncOpenAI.chat.completions.create(stream=True)` with the very same prompt, on an HTTP client"
    " set as ours, retries off, reading the stream to its end. Both in one process, one at a time, to the same model"
    " that answers without delay; times are from before to after, CPU is this process's own (not Postgres')."
)
SDK, DIRECT, REST = "openai SDK alone", "switchboard, direct", "switchboard, supabase-py"
MODEL = "openai:benchmark-model"
QUESTION = "Hello! When do you open tomorrow, and is there parking?"


class Replies:
    """Answers turns one by one and says where the time went."""

    def __init__(self, database: Database, models: Models, senders: Any, dsn: str) -> None:
        self._desk = Desk(database, models, senders, MODEL)
        self._dsn = dsn
        self._round = 0

    async def measure(self, many: int) -> Figures:
        """``many`` turns of new customers."""
        self._round += 1
        mark = f"r{self._round}-{id(self)}-"
        await talks.due_turns(self._dsn, many, mark=mark, platform="messenger", text=QUESTION)
        taken: list[float] = []
        claims: list[float] = []
        cpu = time.process_time()
        for _ in range(many):
            began = time.perf_counter()
            turn = await self._claim()
            claims.append((time.perf_counter() - began) * 1000)
            outcome = await answer(turn, self._desk, Generate())
            taken.append((time.perf_counter() - began) * 1000)
            if outcome != "answered":
                raise RuntimeError(f"a turn ended as {outcome}")
        used = (time.process_time() - cpu) * 1000 / many
        return {"p50": percentile(taken, 0.5), "p99": percentile(taken, 0.99), "cpu": used, "claim": _median(claims)}

    async def _claim(self) -> Turn:
        rows = await self._desk.database.call("claim_turns", max_turns=1, lease_seconds=30, per_workspace=8)
        return Turn.model_validate(rows[0])


class Alone:
    """The SDK without us."""

    def __init__(self, base_url: str, messages: list[Any]) -> None:
        import openai

        self._client = openai.AsyncOpenAI(
            api_key="none", base_url=base_url, max_retries=0, http_client=open_client(patience=8)
        )
        self._messages = messages

    async def measure(self, many: int) -> Figures:
        """``many`` calls."""
        taken: list[float] = []
        cpu = time.process_time()
        for _ in range(many):
            began = time.perf_counter()
            stream = await self._client.chat.completions.create(
                model="benchmark-model",
                messages=self._messages,
                stream=True,
                stream_options={"include_usage": True},
            )
            pieces = [chunk.choices[0].delta.content async for chunk in stream if chunk.choices]
            taken.append((time.perf_counter() - began) * 1000)
            if not any(pieces):
                raise RuntimeError("the model said nothing")
        used = (time.process_time() - cpu) * 1000 / many
        return {"p50": percentile(taken, 0.5), "p99": percentile(taken, 0.99), "cpu": used, "claim": 0.0}

    async def close(self) -> None:
        """Gives back the connections."""
        await self._client.close()


async def run(scale: Scale) -> Report:
    """Both transports against the SDK."""
    report = Report("P3", "One reply", COMPARED)
    many = scale.some(150, 3)
    rest = SupabaseServer()
    try:
        async with AsyncExitStack() as stack:
            cluster = await stack.enter_async_context(ground.cluster())
            dsn, rest_dsn = [await _prepared(await ground.migrated(cluster)) for _ in range(2)]
            project = stack.enter_context(rest.project(rest_dsn))
            model = await stack.enter_async_context(servers.serving(servers.model()))
            settings = _settings(dsn, model)
            http = await stack.enter_async_context(aiohttp.ClientSession())
            graph = await stack.enter_async_context(servers.serving(servers.model()))
            senders = open_channels(
                settings.model_copy(update={"facebook_graph_url": _url(graph, "/v23.0")}), http
            ).senders
            providers = open_providers(settings)
            stack.push_async_callback(providers.close)
            direct = await open_postgres(dsn, pool_size=4, timeout=5)
            stack.push_async_callback(direct.close)
            by_rest = await open_postgrest(project.url, project.service_key, timeout=10)
            stack.push_async_callback(by_rest.close)
            models = Models(providers, settings)
            stack.push_async_callback(models.close)
            ours = Replies(direct, models, senders, dsn)
            beside = Replies(by_rest, models, senders, rest_dsn)
            await ours.measure(2)
            alone = Alone(_url(model, "/v1"), await _messages(model))
            stack.push_async_callback(alone.close)
            for warm in (ours, beside, alone):
                await warm.measure(scale.some(20, 1))
            rounds = await interleave(
                {
                    SDK: lambda: alone.measure(many),
                    DIRECT: lambda: ours.measure(many),
                    REST: lambda: beside.measure(many),
                },
                scale.rounds,
            )
            steps = await _steps(direct, dsn, scale)
    finally:
        rest.stop()
    _tell(report, rounds, steps)
    return report


def _tell(report: Report, rounds: Rounds, steps: Table) -> None:
    report.tables += [
        rounds.table(
            {"p50": "p50, ms", "p99": "p99, ms", "cpu": "CPU of the process, ms", "claim": "of it claiming, ms"}
        ),
        steps,
    ]
    report.raw["rounds"] = rounds.sides
    for name, word in ((DIRECT, "direct"), (REST, "supabase-py")):
        report.target(f"added p50, {word}", rounds.added(name, SDK, "p50"), 3.0, "ms")
        report.target(f"CPU of the SDK's, {word}", rounds.ratio(name, SDK, "cpu"), 1.5)


async def _steps(database: Database, dsn: str, scale: Scale) -> Table:
    """The calls of one reply to the database, each by itself."""
    many = scale.some(100, 2)
    await talks.due_turns(dsn, many, mark="steps", platform="messenger", text=QUESTION)
    taken: dict[str, list[float]] = {"claim_turns": [], "search_knowledge": [], "finish_turn": []}
    for _ in range(many):
        began = time.perf_counter()
        (turn,) = await database.call("claim_turns", max_turns=1, lease_seconds=30, per_workspace=8)
        claimed = time.perf_counter()
        await database.call("search_knowledge", workspace_id=turn["workspace_id"], query=QUESTION)
        searched = time.perf_counter()
        lease = {name: turn[name] for name in ("workspace_id", "conversation_id", "lease_no", "epoch", "seq_in")}
        receipt = {"text": "We open at nine.", "provider": "openai", "model": "m", "confidence": 0.9, "sources": []}
        await database.call("finish_turn", **lease, reply=receipt, parts=["We open at nine."], hand_over=False)
        finished = time.perf_counter()
        for name, seconds in zip(taken, (claimed - began, searched - claimed, finished - searched), strict=True):
            taken[name].append(seconds * 1000)
    rows = [[name, f"{_median(each):.2f}", f"{percentile(each, 0.99):.2f}"] for name, each in taken.items()]
    return Table(["where the time goes in the database", "median, ms", "p99, ms"], rows)


async def _prepared(dsn: str) -> str:
    """A workspace as the service makes it, with knowledge to look in."""
    async with servers.serving(servers.service(dsn)):
        pass
    await ground.no_quiet_time(dsn)
    return dsn


def _settings(dsn: str, model: Server) -> Settings:
    env = servers.service_env(dsn, DEFAULT_MODEL=MODEL, OPENAI_BASE_URL=_url(model, "/v1"), OPENAI_API_KEY="none")
    return load(**{name.lower(): value for name, value in env.items()})


def _url(server: Server, path: str) -> str:
    return f"http://127.0.0.1:{server.port}{path}"


async def _messages(model: Server) -> list[Any]:
    """The prompt as the model was last told it."""
    async with aiohttp.ClientSession() as http, http.get(_url(model, "/prompt")) as response:
        return await response.json()


def _median(values: list[float]) -> float:
    return percentile(values, 0.5)
