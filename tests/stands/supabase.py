"""Supabase on this machine, without Docker: `@supabase/lite` over a test's own Postgres database."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import jwt

_TESTS = Path(__file__).parents[1]
_SERVER = Path(__file__).with_name("supabase_server.mjs")
_PACKAGE = _TESTS / "node_modules/@supabase/lite/package.json"

SERVICE_KEY = "sb_secret_service_key_for_the_tests_only"
ANON_KEY = "sb_publishable_anon_key_for_the_tests_only"
JWT_SECRET = "a-secret-for-the-tests-only-of-40-letters"


@dataclass(frozen=True)
class Supabase:
    """One project: what its dashboard would show."""

    url: str
    service_key: str = SERVICE_KEY
    anon_key: str = ANON_KEY
    jwt_secret: str = JWT_SECRET

    def token(self, subject: str, **claims: object) -> str:
        """An access token as Supabase Auth would give to the signed-in person ``subject``, for an hour."""
        now = datetime.now(UTC)
        fixed = {"sub": subject, "aud": "authenticated", "role": "authenticated", "iss": f"{self.url}/auth/v1"}
        times = {"iat": now, "exp": now + timedelta(hours=1)}
        return jwt.encode({**fixed, **times, **claims}, self.jwt_secret, algorithm="HS256")


@dataclass
class SupabaseServer:
    """One node process for the run; it serves any number of databases, each on a port of its own."""

    _process: "subprocess.Popen[str] | None" = field(init=False, default=None)

    @contextmanager
    def project(self, dsn: str) -> Iterator[Supabase]:
        """A project whose database is the one at ``dsn``."""
        opened = Supabase(url=self._ask({"open": dsn})["url"])
        try:
            yield opened
        finally:
            self._ask({"close": dsn})

    def stop(self) -> None:
        """Ends the process; it ends by itself, too, when this one does."""
        if self._process is not None:
            self._process.communicate(timeout=10)
            self._process = None

    def _ask(self, command: dict[str, str]) -> dict[str, str]:
        if self._process is None or self._process.poll() is not None:
            self._process = _start()
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline() or '{"error": "the Supabase server has died"}')
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer


def missing() -> str | None:
    """Why this machine cannot run it, or None."""
    if not _PACKAGE.exists():
        return "needs `make setup-dev`: tests/node_modules is not there"
    return None if node() else "needs node"


def node() -> str | None:
    """The node of the environment, else the one on the path."""
    own = _TESTS.parent / ".venv/bin/node"
    return str(own) if own.exists() else shutil.which("node")


def _start() -> "subprocess.Popen[str]":
    keys = {"SERVICE_KEY": SERVICE_KEY, "ANON_KEY": ANON_KEY, "JWT_SECRET": JWT_SECRET}
    environment = {**os.environ, **keys, "DO_NOT_TRACK": "1", "LITE_TELEMETRY": "0", "NODE_ENV": "production"}
    return subprocess.Popen(
        [node() or "node", _SERVER],
        cwd=_TESTS,
        env=environment,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
