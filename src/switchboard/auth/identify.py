"""Which kind of token is this, and whose?"""

from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import aiohttp

from switchboard.auth.api_keys import PREFIX, ApiKeys
from switchboard.auth.bearer import read_bearer, refusal
from switchboard.auth.caller import Caller, Guest, Role, is_role
from switchboard.auth.guest_tokens import KID, GuestTokens
from switchboard.auth.local_secret import local_secret, shared_secret
from switchboard.auth.local_tokens import LocalTokens
from switchboard.auth.remembered import Remembered
from switchboard.auth.signed import read_header
from switchboard.auth.supabase_tokens import SupabaseTokens
from switchboard.clock import Clock, now
from switchboard.database import Database
from switchboard.errors import Unauthenticated, Unavailable
from switchboard.settings import Settings

# Live streams ask every 10 s, and whoever loses a role has to lose the stream within 30 s.
_MEMBER = timedelta(seconds=20)
_STRANGER = timedelta(seconds=5)
_CHAT = timedelta(seconds=20)


class Auth:
    """The one door: everything that carries a token comes through `identify`."""

    def __init__(self, settings: Settings, database: Database, http: aiohttp.ClientSession, clock: Clock = now) -> None:
        """``http`` fetches Supabase's keys and stays the caller's to close. Raises `Misconfigured` for bad secrets."""
        self._api_keys = ApiKeys(database, clock)
        self._supabase: SupabaseTokens | None = None
        if settings.supabase_url is not None:
            self._supabase = SupabaseTokens(settings.supabase_url, settings, http, clock)
        self._local: LocalTokens | None = None
        if settings.supabase_url is None or settings.jwt_secret is not None:
            self._local = LocalTokens(local_secret(settings), clock)
        self._guests = GuestTokens(partial(shared_secret, settings), clock)
        self._chats = Remembered(self._find_chat, keep=lambda _: _CHAT, clock=clock)
        self._database = database
        # Whoever has just been made a member should not wait for half a minute.
        self._memberships = Remembered(
            self._find_memberships, keep=lambda roles: _MEMBER if roles else _STRANGER, clock=clock
        )

    async def identify(self, authorization: str | None) -> Caller:
        """Who sends this Authorization header.

        Raises `Unauthenticated` when it is missing or does not hold, and `Unavailable` when that cannot be found out
        and nothing that was found out lately says so.
        """
        token = read_bearer(authorization)
        if token.startswith(PREFIX):
            return await self._api_keys.caller(token)
        return await self._signed(token)

    def admit(self, guest: Guest) -> tuple[str, datetime]:
        """A token for a visitor's conversation, and when it ends."""
        return self._guests.make(guest)

    async def close(self) -> None:
        """Gives up what is still being looked up."""
        await self._api_keys.close()
        await self._chats.close()
        await self._memberships.close()
        if self._supabase is not None:
            await self._supabase.close()

    async def _signed(self, token: str) -> Caller:
        header = read_header(token)
        if header.algorithm == "HS256" and header.kid == KID:
            return await self._guest(self._guests.caller(token))
        if self._local is not None and header.algorithm == "HS256":
            # Supabase's legacy tokens are HS256 too; issuer, audience and secret keep the two apart.
            with suppress(Unauthenticated):
                return self._local.caller(token)
        if self._supabase is None:
            raise refusal()
        person = await self._supabase.person(token, header)
        return Caller(person.subject, person.admin, await self._memberships.get(person.subject))

    async def _guest(self, caller: Caller) -> Caller:
        """The guest, unless what their token opens is gone. While that cannot be asked the signature alone counts, as
        it does for our other tokens: the chat goes on without the database."""
        if caller.guest is None:
            raise refusal()
        try:
            found = await self._chats.get(f"{caller.guest.workspace_id}:{caller.guest.conversation_id}")
        except Unavailable:
            return caller
        if not found:
            raise refusal()
        return caller

    async def _find_chat(self, name: str) -> bool:
        workspace_id, _, conversation_id = name.partition(":")
        guest = {"workspace": int(workspace_id), "conversation": int(conversation_id)}
        return await self._database.call("find_guest", caller={"guest": guest}) is not None

    async def _find_memberships(self, subject: str) -> Mapping[int, Role]:
        found: dict[str, Any] = await self._database.call("find_memberships", user_id=subject)
        return {int(workspace_id): role for workspace_id, role in found.items() if is_role(role)}
