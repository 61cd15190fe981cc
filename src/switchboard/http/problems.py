"""Errors on the wire: RFC 9457 problems with `success: false`, never an input echoed, never a trace."""

import re
from collections.abc import Mapping
from http import HTTPStatus
from math import ceil
from typing import Any

import orjson
import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import BaseRoute, Match

from switchboard.errors import (
    FieldError,
    Forbidden,
    Invalid,
    Malformed,
    NotFound,
    SwitchboardError,
    TooLarge,
    Unauthenticated,
)

_MAY_BE_REPEATED = (HTTPStatus.CONFLICT, HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)
MOST_FIELDS = 20
"""Wrong fields that are listed."""

log = structlog.get_logger()


class WrongField(BaseModel):
    """One field of the request and what is wrong with it."""

    field: str
    message: str


class Problem(BaseModel):
    """What every refusal looks like (RFC 9457, with `success` for clients that look only there)."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "type": "about:blank",
                "title": "Not Found",
                "status": 404,
                "detail": "There is no such conversation.",
                "success": False,
                "code": "not_found",
                "errors": [],
                "request_id": "0f5c2c1e9d6b4c0a",
            }
        }
    )

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    success: bool = False
    code: str = Field(description="Stable: programs may rely on it.")
    errors: list[WrongField] = Field(description="Which fields are wrong, and how.")
    request_id: str = Field(description="Name this when you ask for help.")


def refusals(*kinds: type[SwitchboardError]) -> dict[int | str, dict[str, Any]]:
    """The error answers of a route, for its description."""
    described: dict[int | str, dict[str, Any]] = {}
    for kind in kinds:
        described[kind.status] = {
            "model": Problem,
            "description": (kind.__doc__ or "").strip(),
            "content": {"application/problem+json": {}},
        }
    return described


REFUSALS = refusals(Unauthenticated, Forbidden, NotFound, Invalid)
"""What nearly every route may answer."""


def problem(error: SwitchboardError, request_id: str) -> Response:
    """The response for an error."""
    headers: dict[str, str] = {}
    if error.status == HTTPStatus.UNAUTHORIZED:
        headers["www-authenticate"] = "Bearer"
    if error.status in _MAY_BE_REPEATED and error.retry_after is not None:
        headers["retry-after"] = str(max(1, ceil(error.retry_after)))
    elif error.status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers["retry-after"] = "5"
    detail = error.message
    if error.errors and detail == type(error)().message:
        detail = _joined(error.errors)
    return _respond(error.status, error.code, detail, error.errors, request_id, headers)


def install(app: FastAPI) -> None:
    """Makes every error of ``app`` a problem; those nobody foresaw are `requests.Requests`' part."""
    app.add_exception_handler(SwitchboardError, _on_own)
    app.add_exception_handler(RequestValidationError, _on_validation)
    app.add_exception_handler(HTTPException, _on_http)


def request_id_of(scope: Mapping[str, Any]) -> str:
    """The id that `requests.Requests` gave the request."""
    return str(scope.get("request_id", ""))


def route_of(scope: Mapping[str, Any]) -> str:
    """The path of the route that took the request, with its placeholders: never what the client sent."""
    return str(getattr(scope.get("route"), "path", "unknown"))


def _respond(
    status: int, code: str, detail: str, errors: list[FieldError], request_id: str, headers: dict[str, str]
) -> Response:
    body = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "success": False,
        "code": code,
        "errors": errors,
        "request_id": request_id,
    }
    return Response(orjson.dumps(body), status, headers, "application/problem+json")


async def _on_own(request: Request, error: Exception) -> Response:
    assert isinstance(error, SwitchboardError)  # noqa: S101 - the handler is registered for this class alone
    if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        log.warning("request failed", code=error.code, route=route_of(request.scope))
    return problem(error, request_id_of(request.scope))


async def _on_validation(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - the handler is registered for this class alone
    # Somebody may send a thousand wrong fields, and would be answered with more than they sent.
    issues = error.errors()[:MOST_FIELDS]
    fields: list[FieldError] = [{"field": _field(issue), "message": _message(issue)} for issue in issues]
    return problem(Invalid(errors=fields), request_id_of(request.scope))


def _joined(errors: list[FieldError]) -> str:
    return "; ".join(f"{error['field']}: {error['message']}" for error in errors[:3])


def _field(issue: Mapping[str, Any]) -> str:
    """Where it is wrong. A name that is none of ours is repeated only if it could be somebody's typing error."""
    parts = [str(part) for part in issue["loc"] if part not in ("body", "query", "path", "header")]
    if issue["type"] == "extra_forbidden" and not _NAME.fullmatch(parts[-1]):
        parts[-1] = "?"
    return ".".join(parts) or "body"


def _message(issue: Mapping[str, Any]) -> str:
    return _WORDS.get(issue["type"]) or str(issue["msg"]).removeprefix("Value error, ")


_WORDS = {
    "extra_forbidden": "There is no such field here: see /docs",
    "missing": "This is required",
    "model_attributes_type": "This must be an object with the fields that /docs names",
    "model_type": "This must be an object with the fields that /docs names",
}
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,39}")
_CODES: dict[int, type[SwitchboardError]] = {
    400: Malformed,
    401: Unauthenticated,
    403: Forbidden,
    404: NotFound,
    413: TooLarge,
}


async def _on_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - the handler is registered for this class alone
    kind = _CODES.get(error.status_code)
    phrase = HTTPStatus(error.status_code).phrase
    headers = {name.lower(): value for name, value in (error.headers or {}).items()}
    if error.status_code == HTTPStatus.NOT_FOUND:
        detail = "There is no such address: see /docs."
    elif error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        headers["allow"] = allowed = _allowed(request)
        detail = f"This address does not take that method: use {allowed}."
    else:
        detail = f"{phrase}."
    return _respond(
        error.status_code,
        kind.code if kind else phrase.lower().replace(" ", "_"),
        detail,
        [],
        request_id_of(request.scope),
        headers,
    )


def _allowed(request: Request) -> str:
    """The methods with which a route takes this path; RFC 9110 wants all of them in `Allow`."""
    routes: list[BaseRoute] = request.app.routes
    scope = dict(request.scope)
    return ", ".join(
        method
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE")
        if any(route.matches({**scope, "method": method})[0] is Match.FULL for route in routes)
    )
