"""What we make of an answer in Gemini's wire.

Source: https://ai.google.dev/api/generate-content#v1beta.GenerateContentResponse. An answer may have several
candidates; one is asked for, and the first is read.
"""

from typing import cast

import orjson

from switchboard.errors import ProviderBusy
from switchboard.providers import Chunk, Prompt, Usage
from switchboard.providers.events import Event, inner, number, objects, text
from switchboard.providers.failures import Server, broken_off, shorten
from switchboard.providers.spoken import Call, Finish, Spoken

# https://ai.google.dev/api/generate-content#FinishReason; an unknown one counts as an end: gateways have their own.
_FILTER = ("SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "LANGUAGE", "MODEL_ARMOR", "ESCALATION")
_FINISH: dict[str, Finish] = {"MAX_TOKENS": "length", **dict.fromkeys(_FILTER, cast(Finish, "filter"))}
_WRONG = frozenset(
    {
        "FINISH_REASON_UNSPECIFIED",
        "OTHER",
        "MALFORMED_FUNCTION_CALL",
        "MALFORMED_RESPONSE",
        "UNEXPECTED_TOOL_CALL",
        "TOO_MANY_TOOL_CALLS",
        "MISSING_THOUGHT_SIGNATURE",
        "CONTINUATION",
    }
)


class Answer:
    """Gathers the events of one stream."""

    def __init__(self, prompt: Prompt, server: Server) -> None:
        self._server = server
        self._spoken = Spoken(prompt, server.name)

    def take(self, event: Event) -> str:
        """The text in ``event``. Raises `ProviderBusy` for an error, and when the answer grows beyond all measure."""
        if event.get("error"):
            raise broken_off(event, self._server)
        spoken = self._spoken
        spoken.model = text(event.get("modelVersion")) or spoken.model
        spoken.usage = _usage(inner(event, "usageMetadata")) or spoken.usage
        blocked = inner(event, "promptFeedback")
        if why := text(blocked.get("blockReason")):
            spoken.finish, spoken.refusal = "filter", text(blocked.get("blockReasonMessage")) or why
        return "".join([self._take_candidate(candidate) for candidate in objects(event, "candidates")[:1]])

    def end(self) -> list[Chunk]:
        """What follows the text. Raises `ProviderBusy` or `ProviderRefused` when it was no whole answer."""
        return self._spoken.end(whole=self._spoken.finish is not None, marker="finishReason")

    def _take_candidate(self, candidate: Event) -> str:
        if reason := text(candidate.get("finishReason")):
            self._finish(reason)
        return "".join([self._take_part(part) for part in objects(inner(candidate, "content"), "parts")])

    def _finish(self, reason: str) -> None:
        if reason in _WRONG:
            raise ProviderBusy(f"{self._server.name} gave up in the middle of its answer: {shorten(reason)}")
        self._spoken.finish = _FINISH.get(reason, "stop")

    def _take_part(self, part: Event) -> str:
        if call := inner(part, "functionCall"):
            told: object = call.get("args") or {}
            arguments = told if isinstance(told, str) else orjson.dumps(told).decode()
            self._spoken.count(arguments)
            self._spoken.calls.append(Call(text(call.get("id")), text(call.get("name")), [arguments]))
        return "" if part.get("thought") else self._spoken.say(text(part.get("text")))


def _usage(told: Event) -> Usage | None:
    """What was thought is counted apart from what was said; ours holds both."""
    thought = number(told, "thoughtsTokenCount")
    usage = Usage(
        number(told, "promptTokenCount") + number(told, "toolUsePromptTokenCount"),
        number(told, "candidatesTokenCount") + thought,
        number(told, "cachedContentTokenCount"),
        thought,
    )
    return usage if usage.input_tokens or usage.output_tokens else None
