"""OpenAI's wire for a conversation, "chat completions": what we say in it, and what we make of the answer.

Source: https://platform.openai.com/docs/api-reference/chat-streaming. The SDK checks no types, and compatible servers
leave out or repeat what they like, so nothing here trusts a field to be there.
"""

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import orjson

from switchboard.errors import ProviderBusy, ProviderError, ProviderRefused
from switchboard.providers import Chunk, Done, Prompt, ToolCall, Usage
from switchboard.providers.failures import shorten

if TYPE_CHECKING:
    from openai.types.chat import ChatCompletionChunk, ChatCompletionFunctionToolParam, ChatCompletionMessageParam
    from openai.types.chat.chat_completion_chunk import Choice, ChoiceDelta, ChoiceDeltaToolCall
    from openai.types.completion_usage import CompletionUsage

MOST_CHARACTERS = 200_000
"""Of an answer, its tool calls included; beyond it a model is only babbling, at our cost."""


def messages(prompt: Prompt) -> "list[ChatCompletionMessageParam]":
    """The system's words, if any, and then what was said."""
    said: list[ChatCompletionMessageParam] = []
    if prompt.system:
        said.append({"role": "system", "content": prompt.system})
    for message in prompt.messages:
        if message.role == "user":
            said.append({"role": "user", "content": message.text})
        else:
            said.append({"role": "assistant", "content": message.text})
    return said


def tools(prompt: Prompt) -> "list[ChatCompletionFunctionToolParam]":
    """What the model may ask for."""
    return [
        {
            "type": "function",
            "function": {"name": tool.name, "description": tool.description, "parameters": tool.parameters},
        }
        for tool in prompt.tools
    ]


class Answer:
    """Gathers the chunks of one stream."""

    def __init__(self, prompt: Prompt, server: str) -> None:
        self._prompt = prompt
        self._server = server
        self._model = prompt.model
        self._spoken = 0
        self._called = 0
        self._refusal = ""
        self._calls: dict[int, list[_Call]] = {}
        self._usage: CompletionUsage | None = None
        self._finish: str | None = None

    def take(self, chunk: "ChatCompletionChunk") -> str:
        """The text in ``chunk``. Raises `ProviderBusy` when the answer grows beyond `MOST_CHARACTERS`."""
        self._model = getattr(chunk, "model", None) or self._model
        # Most send it last with no choices, some with the last choice, some a running total with every chunk.
        self._usage = getattr(chunk, "usage", None) or self._usage
        choices: list[Choice] = getattr(chunk, "choices", None) or []
        pieces = [self._take_choice(choice) for choice in choices[:1]]
        self._spoken += sum(len(piece) for piece in pieces)
        if self._spoken + self._called + len(self._refusal) > MOST_CHARACTERS:
            raise ProviderBusy(f"{self._server} did not stop answering after {MOST_CHARACTERS} characters.")
        return "".join(pieces)

    def end(self) -> list[Chunk]:
        """What follows the text. Raises `ProviderBusy` or `ProviderRefused` when it was no whole answer."""
        calls = [call.finished() for calls in self._calls.values() for call in calls if call.name]
        if self._finish is None:
            raise ProviderBusy(f"{self._server} ended early: no finish_reason came.")
        if self._finish == "error":
            raise ProviderBusy(f"{self._server} gave up in the middle of its answer.")
        if not (self._spoken or calls):
            raise self._nothing_said()
        finish = "tool" if calls else {"length": "length", "content_filter": "filter"}.get(self._finish, "stop")
        return [*calls, Done(self._count(), cast(Any, finish), self._model)]

    def _take_choice(self, choice: "Choice") -> str:
        self._finish = getattr(choice, "finish_reason", None) or self._finish
        delta: ChoiceDelta | None = getattr(choice, "delta", None)
        if delta is None:
            return ""
        self._refusal += delta.refusal or ""
        for call in delta.tool_calls or []:
            self._take_call(call)
        return delta.content if isinstance(delta.content, str) else ""

    def _take_call(self, delta: "ChoiceDeltaToolCall") -> None:
        same = self._calls.setdefault(getattr(delta, "index", None) or 0, [])
        # Some servers give every call the same index and tell them apart by id alone.
        if not same or (delta.id and same[-1].id and delta.id != same[-1].id):
            same.append(_Call(delta.id))
        if function := delta.function:
            same[-1].name = same[-1].name or function.name or ""
            same[-1].arguments.append(function.arguments or "")
            self._called += len(function.arguments or "")

    def _nothing_said(self) -> ProviderError:
        if self._refusal or self._finish == "content_filter":
            return ProviderRefused(f"{self._server} will not answer this: {shorten(self._refusal or 'content filter')}")
        if self._finish == "length":
            return ProviderRefused(f"{self._server} spent all {self._prompt.max_tokens} tokens before its first word.")
        return ProviderBusy(f"{self._server} ended its answer without saying anything.")

    def _count(self) -> Usage:
        reported = Usage(
            _number(self._usage, "prompt_tokens"),
            _number(self._usage, "completion_tokens"),
            _number(getattr(self._usage, "prompt_tokens_details", None), "cached_tokens"),
            _number(getattr(self._usage, "completion_tokens_details", None), "reasoning_tokens"),
        )
        if reported.input_tokens or reported.output_tokens:
            return reported
        asked = len(json.dumps([messages(self._prompt), tools(self._prompt)], ensure_ascii=False))
        return Usage(-(-asked // 4), -(-(self._spoken + self._called) // 4), estimated=True)


@dataclass(slots=True)
class _Call:
    id: str | None
    name: str = ""
    arguments: list[str] = field(default_factory=list[str])

    def finished(self) -> ToolCall:
        raw = "".join(self.arguments)
        try:
            arguments: object = orjson.loads(raw or "{}")
        except orjson.JSONDecodeError:
            arguments = None
        if not isinstance(arguments, dict):
            arguments = {"unparsed": raw}
        return ToolCall(self.name, cast(dict[str, Any], arguments))


def _number(holder: object, name: str) -> int:
    value = getattr(holder, name, None)
    return value if isinstance(value, int) and value > 0 else 0
