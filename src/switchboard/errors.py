"""Everything that can go wrong, each with its HTTP status and a stable code.

    SwitchboardError                 500 internal
    ├── Malformed                    400 malformed            the body is no JSON or no form
    ├── Unauthenticated              401 unauthenticated      no token, or one that does not hold
    ├── Forbidden                    403 forbidden            the role is too low
    │   └── SignatureInvalid         403 signature_invalid    a webhook not signed by its channel
    ├── NotFound                     404 not_found            not there, or not yours
    ├── Conflict                     409 conflict             somebody else was first
    │   └── StillRunning             409 still_running        the same Idempotency-Key is being worked on
    ├── TooLarge                     413 too_large
    ├── RateLimited                  429 rate_limited         too much at once: says when to come back
    ├── Invalid                      422 invalid              understood, and wrong: says which field
    ├── Unavailable                  503 unavailable          a part is away for now
    │   ├── DatabaseUnavailable      503 database_unavailable whether it was done may be unknown
    │   │   └── DatabaseUnreachable  503 database_unavailable nothing was asked of it
    │   ├── DatabaseTooSlow          503 database_too_slow    a statement ran into its time limit
    │   └── NoSpace                  507 no_space             the disk, or its quota, is full
    ├── Misconfigured                500 misconfigured        a setting is missing or half set
    ├── FetchRefused                 502 fetch_refused        a file from elsewhere that is not to be had, or not taken
    ├── ProviderError                502 provider_error
    │   ├── ProviderBusy             503 provider_busy        try again, or elsewhere
    │   ├── ProviderRefused          502 provider_refused     this prompt will not be answered
    │   └── ProviderMisconfigured    500 provider_misconfigured
    └── DeliveryError                502 delivery_error
        ├── DeliveryBusy             503 delivery_busy        not accepted now: try again later
        ├── DeliveryUnknown          502 delivery_unknown     may have arrived: never repeat blindly
        ├── DeliveryRefused          502 delivery_refused     this message will never be accepted
        ├── WindowClosed             502 window_closed        too long since the customer wrote
        ├── RecipientUnreachable     502 recipient_unreachable
        └── ChannelBroken            502 channel_broken       token, permission or account: nothing goes out

The docstring of a class is its default message. Errors of drivers and SDKs are turned into these once, at the border.
"""

import re
from collections.abc import Sequence
from typing import ClassVar, Literal, Self, TypedDict


class FieldError(TypedDict):
    """One field of a request and what is wrong with it, in words for the caller."""

    field: str
    message: str


class SwitchboardError(Exception):
    """Something went wrong on our side."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal"

    def __init__(
        self, message: str | None = None, *, errors: Sequence[FieldError] = (), retry_after: float | None = None
    ) -> None:
        """``message`` is shown to the caller; ``retry_after`` is in seconds."""
        self.message = message or (type(self).__doc__ or "").strip()
        self.errors = list(errors)
        self.retry_after = retry_after
        super().__init__(self.message)


class Malformed(SwitchboardError):
    """The body could not be read."""

    status, code = 400, "malformed"


class Unauthenticated(SwitchboardError):
    """A valid token is needed: send `Authorization: Bearer <token>`."""

    status, code = 401, "unauthenticated"


class Forbidden(SwitchboardError):
    """Your role does not allow this."""

    status, code = 403, "forbidden"


class SignatureInvalid(Forbidden):
    """The signature does not match the body."""

    code = "signature_invalid"


class NotFound(SwitchboardError):
    """There is no such thing here."""

    status, code = 404, "not_found"


class Conflict(SwitchboardError):
    """Somebody else was first."""

    status, code = 409, "conflict"


class StillRunning(Conflict):
    """The first request with this Idempotency-Key is still running."""

    code = "still_running"


class TooLarge(SwitchboardError):
    """The body is too large."""

    status, code = 413, "too_large"


class RateLimited(SwitchboardError):
    """Too many requests: wait for the seconds in `Retry-After`."""

    status, code = 429, "rate_limited"


class Invalid(SwitchboardError):
    """The request is understood, but a value in it is wrong."""

    status, code = 422, "invalid"


class Unavailable(SwitchboardError):
    """A part of the service is away for now: try again shortly."""

    status, code = 503, "unavailable"


class DatabaseUnavailable(Unavailable):
    """The database does not answer: try again shortly."""

    code = "database_unavailable"


class DatabaseUnreachable(DatabaseUnavailable):
    """The database cannot be reached: try again shortly."""


class DatabaseTooSlow(Unavailable):
    """The database took too long over this: ask for less, or try again."""

    code = "database_too_slow"


class NoSpace(Unavailable):
    """There is no space left on the disk."""

    status, code = 507, "no_space"


class Misconfigured(SwitchboardError):
    """A setting is missing or wrong."""

    code = "misconfigured"


class FetchRefused(SwitchboardError):
    """The file is not to be had, or not taken."""

    status, code = 502, "fetch_refused"


Fault = Literal[
    "limit", "server", "timeout", "unreachable", "broken", "prompt", "filter", "key", "credit", "model", "internal"
]
"""What was wrong with a call to a model: its rate limit, the server, no answer in time, no connection, an answer that
makes no sense, our prompt, its contents, our key, its credit, the model we named, or we ourselves."""


class ProviderError(SwitchboardError):
    """The model provider failed."""

    status, code = 502, "provider_error"
    usually: ClassVar[Fault] = "internal"

    def __init__(
        self,
        message: str | None = None,
        *,
        fault: Fault | None = None,
        retry_after: float | None = None,
        turned_away: bool = False,
    ) -> None:
        """``turned_away``: the provider did no work for this call, so it cost nothing."""
        self.fault: Fault = fault or self.usually
        self.turned_away = turned_away
        super().__init__(message, retry_after=retry_after)

    def anew(self, retry_after: float | None = None) -> Self:
        """The same for another caller, without the frames of the first; that one waits ``retry_after`` seconds."""
        return type(self)(self.message, fault=self.fault, retry_after=retry_after, turned_away=True)


class ProviderBusy(ProviderError):
    """The model provider is busy or away: worth another try, here or elsewhere."""

    status, code, usually = 503, "provider_busy", "server"


class ProviderRefused(ProviderError):
    """The model provider will not answer this prompt."""

    code, usually = "provider_refused", "prompt"


class ProviderMisconfigured(ProviderError):
    """The model provider rejects our settings: check its key, model and base URL."""

    status, code, usually = 500, "provider_misconfigured", "model"


class DeliveryError(SwitchboardError):
    """The message could not be delivered."""

    status, code = 502, "delivery_error"


class DeliveryBusy(DeliveryError):
    """The channel does not accept messages right now."""

    status, code = 503, "delivery_busy"


class DeliveryUnknown(DeliveryError):
    """The channel did not say whether the message arrived."""

    code = "delivery_unknown"


class DeliveryRefused(DeliveryError):
    """The channel will never accept this message."""

    code = "delivery_refused"


class WindowClosed(DeliveryError):
    """The channel no longer allows an answer: too long since the customer wrote."""

    code = "window_closed"


class RecipientUnreachable(DeliveryError):
    """The customer cannot be reached on this channel."""

    code = "recipient_unreachable"


class ChannelBroken(DeliveryError):
    """The channel refuses everything we send: reconnect the account."""

    code = "channel_broken"


_BY_STATUS: dict[str, type[SwitchboardError]] = {
    "PT400": Malformed,
    "PT401": Unauthenticated,
    "PT403": Forbidden,
    "PT404": NotFound,
    "PT409": Conflict,
    "PT422": Invalid,
    "PT425": StillRunning,
    "PT503": Unavailable,
}
_BY_CONSTRAINT: dict[str, tuple[type[SwitchboardError], str]] = {
    "members_pkey": (Conflict, "This person is a member of the workspace already."),
    "workspaces_name_key": (Conflict, "A workspace of this name exists already."),
    "channels_account_key": (Conflict, "This account is connected to a workspace already."),
}
_BY_CLASS: dict[str, tuple[type[SwitchboardError], str]] = {
    "08": (DatabaseUnavailable, ""),
    "22": (Invalid, "A value does not fit its field."),
    "23": (Invalid, "A value breaks a rule of the data."),
    "40": (DatabaseUnavailable, "Two changes collided: try again."),
    "53": (DatabaseUnavailable, ""),
    "55": (DatabaseUnavailable, ""),
    "57": (DatabaseUnavailable, ""),
}


_FIELD = re.compile(r"([a-z][a-z0-9_.]{0,60}): (.+)", re.DOTALL)


def _named(state: str, message: str) -> list[FieldError]:
    """The field that a function of ours refuses: its message begins with the name and a colon."""
    named = _FIELD.fullmatch(message) if state == "PT422" else None
    return [{"field": named[1], "message": named[2]}] if named else []


def from_sqlstate(state: str, message: str, *, constraint: str | None = None) -> SwitchboardError:
    """The one table from a SQLSTATE to an error, for both transports.

    ``state``: five characters, PostgreSQL Appendix A, or ``PTnnn`` as PostgREST understands it. Only the text of
    ``PTnnn`` errors, which our own functions wrote, reaches the caller; the database's own words stay in the log.
    """
    if state in _BY_STATUS:
        return _BY_STATUS[state](message, errors=_named(state, message))
    if constraint in _BY_CONSTRAINT:
        kind, text = _BY_CONSTRAINT[constraint]
        return kind(text)
    if state == "23505":
        return Conflict("This exists already.")
    if state == "57014":
        return DatabaseTooSlow()
    if state[:2] in _BY_CLASS:
        kind, text = _BY_CLASS[state[:2]]
        return kind(text or None)
    return SwitchboardError(f"The database refused a statement ({state}).")
