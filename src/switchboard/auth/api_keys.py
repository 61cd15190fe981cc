"""Keys for programs: `sbk_<prefix>_<secret>`, 8 and 64 hexadecimal digits. Only their SHA-256 is stored."""

import hashlib
import re
import secrets
from datetime import datetime, timedelta
from typing import Any

from switchboard.auth.bearer import refusal
from switchboard.auth.caller import Caller, is_role
from switchboard.auth.remembered import Remembered
from switchboard.clock import Clock
from switchboard.database import Database

PREFIX = "sbk_"

_KEPT = timedelta(seconds=20)
_SHAPE = re.compile(r"sbk_[0-9a-f]{8}_[0-9a-f]{64}")


def make_api_key() -> tuple[str, str, str]:
    """A new key, shown once; its prefix, by which people tell keys apart; its SHA-256 in hex, which is stored.

    256 random bits need no slow hash: there is nothing to guess.
    """
    prefix = secrets.token_hex(4)
    key = f"{PREFIX}{prefix}_{secrets.token_hex(32)}"
    return key, prefix, _fingerprint(key)


class ApiKeys:
    """Finds out whose key it is. A key that was found holds for 20 s more; one that was not is looked for each time."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._rows = Remembered(self._find, keep=lambda row: _KEPT if row else timedelta(0), clock=clock)

    async def caller(self, key: str) -> Caller:
        """Who the key belongs to. Raises `Unauthenticated`, or `Unavailable` when that cannot be found out."""
        if _SHAPE.fullmatch(key) is None:
            raise refusal()
        row = await self._rows.get(_fingerprint(key))
        if row is None or not self._in_force(row):
            raise refusal()
        subject, role = f"api_key:{row['id']}", row["role"]
        if role == "admin":
            return Caller(subject, admin=True, roles={})
        if not is_role(role):
            raise refusal()
        return Caller(subject, admin=False, roles={row["workspace_id"]: role})

    async def close(self) -> None:
        """Gives up the look-ups still open."""
        await self._rows.close()

    async def _find(self, fingerprint: str) -> dict[str, Any] | None:
        return await self._database.call("find_api_key", key_hash=fingerprint)

    def _in_force(self, row: dict[str, Any]) -> bool:
        # The database has looked at the time as well, but up to 20 s ago.
        return row["expires_at"] is None or datetime.fromisoformat(row["expires_at"]) > self._clock()


def _fingerprint(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()
