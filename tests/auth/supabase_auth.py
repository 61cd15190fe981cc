"""A Supabase Auth that signs tokens and lists its keys over HTTP, and a clock that is told the time."""

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt import PyJWS
from jwt.algorithms import ECAlgorithm, RSAAlgorithm


class ToldClock:
    """Stands still until it is told to move. Begins at the real time, which the database keeps to."""

    def __init__(self) -> None:
        self.at = datetime.now(UTC).replace(microsecond=0)

    def __call__(self) -> datetime:
        return self.at

    def forward(self, **time: float) -> None:
        self.at += timedelta(**time)


class SupabaseAuth:
    """Lists `keys` at the JWKS address and counts the `hits`; `gate` holds answers back, `answer` replaces them."""

    def __init__(self, clock: ToldClock) -> None:
        self.clock = clock
        self.keys: list[dict[str, Any]] = []
        self.private: dict[str, Any] = {}
        self.hits = 0
        self.reached = asyncio.Event()
        self.gate = asyncio.Event()
        self.gate.set()
        self.answer: Callable[[], web.Response] | None = None
        self.port = 0
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def issuer(self) -> str:
        return f"{self.url}/auth/v1"

    async def start(self) -> None:
        app = web.Application()
        app.router.add_get("/auth/v1/.well-known/jwks.json", self._jwks)
        app.router.add_get("/elsewhere", self._elsewhere)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    def add(self, kid: str, private: Any) -> None:
        """Signs with this key from now on, under this id, and lists its public half."""
        if isinstance(private, rsa.RSAPrivateKey):
            jwk, algorithm = RSAAlgorithm.to_jwk(private.public_key(), as_dict=True), "RS256"
        else:
            jwk, algorithm = ECAlgorithm.to_jwk(private.public_key(), as_dict=True), "ES256"
        self.keys.append({**jwk, "kid": kid, "alg": algorithm, "use": "sig", "key_ops": ["verify"], "ext": True})
        self.private[kid] = private

    def remove(self, kid: str) -> None:
        self.keys = [key for key in self.keys if key["kid"] != kid]

    def claims(self, **changes: Any) -> dict[str, Any]:
        """What Supabase Auth puts into a token; a change to `...` leaves a claim out."""
        now = int(self.clock().timestamp())
        usual: dict[str, Any] = {
            "iss": self.issuer,
            "aud": "authenticated",
            "sub": "8f1e1f6e-0000-4000-8000-000000000001",
            "role": "authenticated",
            "iat": now,
            "exp": now + 3600,
            "email": "ann@example.com",
            "app_metadata": {"provider": "email"},
            "user_metadata": {},
            "is_anonymous": False,
        }
        return {name: value for name, value in (usual | changes).items() if value is not ...}

    def token(self, kid: str = "ec", *, headers: dict[str, Any] | None = None, key: Any = None, **changes: Any) -> str:
        private = key or self.private[kid]
        algorithm = "RS256" if isinstance(private, rsa.RSAPrivateKey) else "ES256"
        # Not `jwt.encode`: that has opinions about claims, which an attacker has not.
        claims = json.dumps(self.claims(**changes)).encode()
        return PyJWS().encode(claims, private, algorithm, headers={"kid": kid, **(headers or {})})

    async def _elsewhere(self, _: web.Request) -> web.Response:
        """Somebody else's list of keys."""
        return web.json_response({"keys": []})

    async def _jwks(self, _: web.Request) -> web.Response:
        self.hits += 1
        self.reached.set()
        await self.gate.wait()
        return self.answer() if self.answer else web.json_response({"keys": self.keys})


def encode_part(part: Any) -> str:
    """One part of a token: bytes as they are, all else as JSON."""
    raw = part if isinstance(part, bytes) else json.dumps(part).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def assemble(header: Any, claims: Any, sign: Callable[[bytes], bytes]) -> str:
    """A token as an attacker makes one: any header, any claims, any signature."""
    signed = f"{encode_part(header)}.{encode_part(claims)}"
    return f"{signed}.{encode_part(sign(signed.encode()))}"


def hs256(secret: bytes) -> Callable[[bytes], bytes]:
    return lambda message: hmac.new(secret, message, hashlib.sha256).digest()
