"""JSON bodies, read strictly: no NaN, no lone surrogates, no NUL, no bottomless nesting.

What Postgres could not store is refused at the door with words, instead of failing later without.
"""

from collections.abc import Callable, Coroutine
from typing import Any, cast

import orjson
from fastapi import Request
from fastapi.routing import APIRoute
from starlette.responses import Response

from switchboard.errors import Invalid, Malformed


class _StrictRequest(Request):
    async def json(self) -> Any:
        """The body's value. Raises `Malformed` also for a body that does not say that it is JSON."""
        if not hasattr(self, "_json"):
            if not _is_json(self.headers.get("content-type", "")):
                raise Malformed(
                    "Send the body as JSON, with `Content-Type: application/json`, or as a form, with "
                    "`Content-Type: application/x-www-form-urlencoded`."
                )
            self._json = read_json(await self.body())
        return self._json


class StrictRoute(APIRoute):
    """A route whose JSON body is read by `read_json`."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI's handler, given a request that reads strictly."""
        handler = super().get_route_handler()
        takes_body = self.body_field is not None

        async def handle(request: Request) -> Response:
            strict = _StrictRequest(request.scope, request.receive)
            if takes_body and await strict.body():
                # Read here and kept: FastAPI would make "There was an error parsing the body" of whatever is wrong.
                await strict.json()
            return await handler(strict)

        return handle


def _is_json(content_type: str) -> bool:
    kind = content_type.partition(";")[0].strip().lower()
    return kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json"))


def read_json(body: bytes) -> Any:
    """The value in a JSON body. Raises `Malformed` for what is no JSON, `Invalid` for a NUL character in a string."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Malformed(f"The body is not valid JSON: {error.msg} at character {error.pos}.") from None
    if b"\\u0000" in body and has_nul(value):
        raise Invalid("The body holds a NUL character (\\u0000), which cannot be stored: leave it out.")
    return value


def has_nul(value: Any) -> bool:
    """Whether any string in a JSON value holds a NUL."""
    if isinstance(value, str):
        return "\x00" in value
    if isinstance(value, dict):
        return any(has_nul(key) or has_nul(item) for key, item in cast(dict[str, Any], value).items())
    if isinstance(value, list):
        return any(has_nul(item) for item in cast(list[Any], value))
    return False
