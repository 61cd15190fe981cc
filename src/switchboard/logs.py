"""Structured logs: one event a line with the ids of its request and conversation, never message text or secrets."""

import logging
import sys
import traceback
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Literal, cast

import orjson
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from switchboard.errors import SwitchboardError

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}

_OF_THEIR_OWN = ("uvicorn", "uvicorn.error", "uvicorn.access", "uvicorn.asgi")


def configure(level: Literal["debug", "info", "warning", "error"], form: Literal["auto", "json", "text"]) -> None:
    """Sends the log of this process to standard error, so that standard output stays a command's own."""
    as_text = form == "text" or (form == "auto" and sys.stderr.isatty())
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _tell_errors,
        _tell_failed_start,
    ]
    ending: list[Processor] = (
        [_make_printable, structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())]
        if as_text
        # JSON escapes line ends and control characters, so that hostile text cannot forge a line.
        else [structlog.processors.JSONRenderer(_as_json)]
    )
    structlog.configure(
        processors=[*shared, *ending],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=_to_standard_error,
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared, processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *ending]
        )
    )
    least = max(_LEVELS[level], logging.WARNING)
    logging.basicConfig(handlers=[handler], level=least, force=True)
    for name in _OF_THEIR_OWN:
        # `uvicorn api:app` has set these up before us: lines of another form, and addresses with what is asked in them.
        theirs = logging.getLogger(name)
        theirs.handlers.clear()
        theirs.propagate = True
        theirs.setLevel(least)


class _Lines(structlog.PrintLogger):
    """Lines on a stream. One that nobody takes, or for which the disk has no room, is lost: the work goes on."""

    def msg(self, message: str) -> None:
        with suppress(OSError, ValueError):  # a closed stream raises the latter
            super().msg(message)

    debug = info = warning = error = critical = exception = log = msg


def _to_standard_error(*_: object) -> _Lines:
    return _Lines(sys.stderr)


def _as_json(event: EventDict, **_: Any) -> str:
    return orjson.dumps(event, default=repr).decode()


def _tell_errors(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """Replaces `exc_info` by what failed and where, down to the first cause.

    Without the words of errors that are neither ours nor the system's: drivers, parsers and validators quote the value
    they stumbled over, which may be what a customer wrote or a token. Without local variables for the same reason.
    """
    given: Any = event.pop("exc_info", None)
    error: BaseException | None = sys.exception()
    if isinstance(given, BaseException):
        error = given
    elif isinstance(given, tuple):
        error = cast("tuple[Any, BaseException | None, Any]", given)[1]
    if given and error is not None:
        event["exception"] = " | caused by ".join(_tell(one) for one in _with_causes(error))
    return event


def _tell_failed_start(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """Makes one line of the traceback that the web framework logs, as a text, when the service cannot start."""
    text = event["event"]
    if isinstance(text, str) and text.startswith("Traceback (most recent call last):"):
        kind, _, words = text.rstrip().rpartition("\n")[2].partition(": ")
        event["event"] = "cannot start"
        event["reason"] = words if kind.startswith("switchboard.errors.") else kind
        if (place := text.rfind('  File "')) >= 0:
            event["at"] = text[place:].split("\n", 1)[0].strip()
    return event


def _tell(error: BaseException) -> str:
    kind = type(error)
    words = f": {error}" if isinstance(error, SwitchboardError | OSError) else ""
    path = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(error.__traceback__)]
    return f"{kind.__module__}.{kind.__qualname__}{words} at {' > '.join(path)}"


def _with_causes(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        # A group says nothing itself; its first error stands for the others.
        if isinstance(current, BaseExceptionGroup):
            current = cast("BaseExceptionGroup[BaseException]", current).exceptions[0]
        else:
            current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)


def _make_printable(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """Takes from texts what would steer the terminal they are shown on."""
    return {name: _printable(value) if isinstance(value, str) else value for name, value in event.items()}


def _printable(text: str) -> str:
    return text if text.isprintable() else "".join(c if c.isprintable() else " " for c in text)
