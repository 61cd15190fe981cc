"""What `docs/guide/sign-in.md` says to do does what it says."""

import re
import subprocess
import sys
from pathlib import Path

import asyncpg
import pytest

from switchboard.auth import signing_keys
from switchboard.errors import Unauthenticated

GUIDE = (Path(__file__).parents[2] / "docs" / "guide" / "sign-in.md").read_text()
ANN = "8f1e1f6e-0000-4000-8000-000000000001"


def statement(beginning: str) -> str:
    [found] = [sql for sql in re.findall(r"```sql\n(.*?)```", GUIDE, re.DOTALL) if sql.startswith(beginning)]
    return found


@pytest.fixture
async def run(database_url, postgres):
    await postgres.insert("workspaces", [{"id": 1, "name": "Shop"}])
    connection = await asyncpg.connect(database_url)
    yield connection.execute
    await connection.close()


async def test_making_a_member(run, postgres, supabase, open_auth):
    await run(statement("insert into members"))
    caller = await open_auth(postgres, supabase_url=supabase.url).identify(f"Bearer {supabase.token(sub=ANN)}")
    assert caller.roles == {1: "support"}


@pytest.fixture
def made():
    [code] = re.findall(r"\.venv/bin/python -c '(.*)'", GUIDE)
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()


async def test_making_and_revoking_an_api_key(made, run, postgres, open_auth, clock):
    key, prefix, key_hash = made
    await run(statement("select create_api_key").replace("<prefix>", prefix).replace("<hash>", key_hash))
    auth = open_auth(postgres)
    assert (await auth.identify(f"Bearer {key}")).roles == {1: "viewer"}
    [revoke] = re.findall(r"`(update api_keys .*?)`", GUIDE)
    await run(revoke.replace("<prefix>", prefix))
    clock.forward(seconds=30)
    with pytest.raises(Unauthenticated):
        await auth.identify(f"Bearer {key}")


def test_the_times_it_promises_are_those_that_hold():
    assert "| Signing key revoked in Supabase | 10 minutes, plus" in GUIDE
    assert signing_keys.FRESH.total_seconds() == 600
    assert "the last ones go on serving for a day" in GUIDE
    assert signing_keys.LAST_GOOD.days == 1
