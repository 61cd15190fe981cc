"""What has come of one answer: how much text, which calls, and whether that is an answer at all. For every vendor."""

from dataclasses import dataclass, field
from typing import Any, Literal, cast

import orjson

from switchboard.errors import ProviderBusy, ProviderError, ProviderRefused
from switchboard.providers import Chunk, Done, Prompt, ToolCall, Usage, estimate
from switchboard.providers.failures import shorten

MOST_CHARACTERS = 200_000
"""Of an answer, its tool calls included; beyond it a model is only babbling, at our cost."""

Finish = Literal["stop", "length", "tool", "filter"]


@dataclass(slots=True)
class Call:
    """A tool call while its arguments come in."""

    id: str = ""
    name: str = ""
    arguments: list[str] = field(default_factory=list[str])

    def finished(self) -> ToolCall:
        """The call; arguments that are no JSON object are kept as ``unparsed``."""
        raw = "".join(self.arguments)
        try:
            arguments: object = orjson.loads(raw or "{}")
        except orjson.JSONDecodeError:
            arguments = None
        return ToolCall(
            self.name, cast(dict[str, Any], arguments) if isinstance(arguments, dict) else {"unparsed": raw}
        )


@dataclass(slots=True)
class Spoken:
    """Gathers one answer of ``server``; ``finish`` and ``usage`` are None until the vendor tells them."""

    prompt: Prompt
    server: str
    model: str = ""
    calls: list[Call] = field(default_factory=list[Call])
    refusal: str = ""
    finish: Finish | None = None
    usage: Usage | None = None
    _said: int = 0
    _came: int = 0

    def say(self, piece: str) -> str:
        """Counts and returns a piece of the text. Raises `ProviderBusy` beyond `MOST_CHARACTERS`."""
        self._said += len(piece)
        self.count(piece)
        return piece

    def count(self, piece: str) -> None:
        """Counts what comes and is not text for the customer, such as a tool's arguments."""
        self._came += len(piece)
        if self._came > MOST_CHARACTERS:
            raise ProviderBusy(
                f"{self.server} did not stop answering after {MOST_CHARACTERS} characters.", fault="broken"
            )

    def end(self, *, whole: bool, marker: str) -> list[Chunk]:
        """What follows the text. Raises `ProviderBusy` or `ProviderRefused` when it was no whole answer.

        ``whole``: the vendor's end marker, named ``marker``, has come.
        """
        if not whole:
            raise ProviderBusy(f"{self.server} ended early: no {marker} came.", fault="broken")
        calls = [call.finished() for call in self.calls if call.name]
        if not (self._said or calls):
            raise self._nothing_said()
        finish: Finish = "tool" if calls else self.finish or "stop"
        usage = self.usage or estimate(self.prompt, self._came)
        return [*calls, Done(usage, finish, self.model or self.prompt.model)]

    def _nothing_said(self) -> ProviderError:
        if self.refusal or self.finish == "filter":
            why = shorten(self.refusal or "content filter")
            return ProviderRefused(f"{self.server} will not answer this: {why}", fault="filter")
        if self.finish == "length":
            return ProviderRefused(f"{self.server} spent all {self.prompt.max_tokens} tokens before its first word.")
        return ProviderBusy(f"{self.server} ended its answer without saying anything.", fault="broken")
