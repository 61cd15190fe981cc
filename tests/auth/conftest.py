"""Supabase Auth on a free port, settings without an environment, and Auth on whatever database a test brings."""

from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from auth.supabase_auth import SupabaseAuth, ToldClock
from stands.clusters import free_port
from switchboard.auth import Auth
from switchboard.database.postgres import Postgres, open_postgres
from switchboard.settings import Settings


@pytest.fixture
def clock() -> ToldClock:
    return ToldClock()


@pytest.fixture(scope="session")
def rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


@pytest.fixture(scope="session")
def ec_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@pytest.fixture
async def supabase(clock: ToldClock, ec_key: Any, rsa_key: Any) -> AsyncIterator[SupabaseAuth]:
    server = SupabaseAuth(clock)
    server.add("ec", ec_key)
    server.add("rsa", rsa_key)
    await server.start()
    yield server
    server.gate.set()
    await server.stop()


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
def settings(tmp_path: Path) -> Callable[..., Settings]:
    """Settings without a look at the environment or `.env`."""

    def make(**values: Any) -> Settings:
        if "supabase_url" in values:
            values = {"supabase_service_role_key": "service", "supabase_anon_key": "anon", **values}
        return Settings(_env_file=None, data_dir=tmp_path / "data", **values)

    return make


@pytest.fixture
async def open_auth(
    settings: Callable[..., Settings], http: aiohttp.ClientSession, clock: ToldClock
) -> AsyncIterator[Callable[..., Auth]]:
    """Auth on a database, with the settings given."""
    opened: list[Auth] = []

    def make(database: Any, **values: Any) -> Auth:
        opened.append(Auth(settings(**values), database, http, clock))
        return opened[-1]

    yield make
    for auth in opened:
        await auth.close()


@pytest.fixture
async def away() -> AsyncIterator[Postgres]:
    """A database that is not there."""
    database = await open_postgres(f"postgresql://postgres@127.0.0.1:{free_port()}/x", pool_size=2, timeout=5)
    yield database
    await database.close()


class Route:
    """Passes calls on to a real database and notes them; `database` can be changed on the way."""

    def __init__(self, database: Postgres) -> None:
        self.database = database
        self.calls: list[str] = []

    async def call(self, function: str, /, **arguments: Any) -> Any:
        self.calls.append(function)
        return await self.database.call(function, **arguments)


@pytest.fixture
def route(postgres: Postgres) -> Route:
    return Route(postgres)


@pytest.fixture
def ten_seconds() -> Callable[[Any], timedelta]:
    return lambda _: timedelta(seconds=10)
