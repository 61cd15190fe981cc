"""The Authorization header, and the one answer to everything in it that does not hold."""

import re

from switchboard.errors import Unauthenticated

MAX_TOKEN_BYTES = 8192
"""Longest token that is looked at. Supabase's with much metadata stay below 4 KiB."""

_BEARER = re.compile(r"bearer +([\x21-\x7e]+)", re.IGNORECASE | re.ASCII)


def refusal() -> Unauthenticated:
    """The same words whatever is wrong with a token: they say what to do, and a forger learns nothing from them."""
    return Unauthenticated(
        "This token is not valid, or no longer: sign in again or make a new one, "
        "then send it as `Authorization: Bearer <token>`."
    )


def read_bearer(authorization: str | None) -> str:
    """The token of an Authorization header (RFC 6750, section 2.1): visible ASCII, at most `MAX_TOKEN_BYTES` long.

    Raises `Unauthenticated` when there is none or it has another form.
    """
    if not authorization:
        raise Unauthenticated
    if len(authorization) > MAX_TOKEN_BYTES + len("Bearer "):
        raise refusal()
    found = _BEARER.fullmatch(authorization.strip(" \t"))
    if found is None:
        raise Unauthenticated
    return found[1]
