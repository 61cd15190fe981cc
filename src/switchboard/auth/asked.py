"""Who sends a request, found out once for everything that asks on its way."""

from collections.abc import MutableMapping
from typing import Any, cast

from switchboard.auth.caller import Caller
from switchboard.auth.identify import Auth
from switchboard.errors import SwitchboardError


async def caller_of(scope: MutableMapping[str, Any]) -> Caller:
    """Who sends the request with this ASGI scope. Raises what `Auth.identify` raises, each time it is asked.

    A database that is away is waited for once, and not by the limits, the idempotency and the route one after another.
    """
    if "caller" not in scope:
        header = next((value for name, value in scope["headers"] if name == b"authorization"), None)
        try:
            scope["caller"] = await cast(Auth, scope["state"]["auth"]).identify(header and header.decode("latin-1"))
        except SwitchboardError as error:
            scope["caller"] = error
    if isinstance(scope["caller"], SwitchboardError):
        raise scope["caller"]
    return cast(Caller, scope["caller"])
