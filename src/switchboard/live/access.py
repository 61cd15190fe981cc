"""Whether whoever opened a stream may still read it."""

from switchboard.auth import Auth, Caller
from switchboard.errors import Forbidden, SwitchboardError, Unauthenticated


class Access:
    """Who reads, by the Authorization header they came with."""

    __slots__ = ("_auth", "_authorization", "caller")

    def __init__(self, auth: Auth, authorization: str | None, caller: Caller) -> None:
        self._auth = auth
        self._authorization = authorization
        self.caller = caller

    @classmethod
    async def ask(cls, auth: Auth, authorization: str | None) -> "Access":
        """Raises `Unauthenticated`, `Unavailable`, or `Forbidden` for somebody who may see nothing at all."""
        caller = await auth.identify(authorization)
        if not (caller.admin or caller.roles or caller.guest):
            raise Forbidden("You are a member of no workspace: there is nothing to see.")
        return cls(auth, authorization, caller)

    async def lost(self) -> str | None:
        """Why the stream must end now, or None. What cannot be found out ends nothing: the database is away, and
        while it is, there is nothing to tell either."""
        try:
            caller = await self._auth.identify(self._authorization)
        except Unauthenticated:
            return "unauthenticated"
        except SwitchboardError:
            return None
        return None if caller == self.caller else "access_changed"

    async def renew(self, authorization: str) -> bool:
        """Goes on with a newer token of the same caller; whether it is one. Raises like `ask`."""
        caller = await self._auth.identify(authorization)
        if caller != self.caller:
            return False
        self._authorization = authorization
        return True
