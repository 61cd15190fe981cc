"""OpenAI's wire for a conversation, "chat completions": what we say in it, and what we make of the answer.

Source: https://platform.openai.com/docs/api-reference/chat-streaming. Compatible servers leave out or repeat what they
like, so nothing here trusts a field to be there.
"""

from typing import TYPE_CHECKING, Any

from switchboard.errors import ProviderBusy
from switchboard.providers import Chunk, Prompt, Usage
from switchboard.providers.events import Event, inner, number, objects, text
from switchboard.providers.failures import Server, broken_off
from switchboard.providers.spoken import Call, Finish, Spoken

if TYPE_CHECKING:
    from openai.types.chat import ChatCompletionFunctionToolParam, ChatCompletionMessageParam

# ``model_length`` is Mistral's: the conversation no longer fits the model.
_FINISH: dict[str, Finish] = {"length": "length", "model_length": "length", "content_filter": "filter"}


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
    """Gathers the events of one stream."""

    def __init__(self, prompt: Prompt, server: Server) -> None:
        self._server = server
        self._spoken = Spoken(prompt, server.name)
        self._calls: dict[int, list[Call]] = {}
        self._finished = False

    def take(self, event: Event) -> str:
        """The text in ``event``. Raises `ProviderBusy` for an error, and when the answer grows beyond all measure."""
        if event.get("error"):
            raise broken_off(event, self._server)
        spoken = self._spoken
        spoken.model = text(event.get("model")) or spoken.model
        # Most send it last with no choices, some with the last choice, some a running total with every chunk.
        spoken.usage = _usage(event) or spoken.usage
        return "".join([self._take_choice(choice) for choice in objects(event, "choices")[:1]])

    def end(self) -> list[Chunk]:
        """What follows the text. Raises `ProviderBusy` or `ProviderRefused` when it was no whole answer."""
        self._spoken.calls = [call for calls in self._calls.values() for call in calls]
        return self._spoken.end(whole=self._finished, marker="finish_reason")

    def _take_choice(self, choice: Event) -> str:
        if finish := text(choice.get("finish_reason")):
            self._finish(finish)
        delta = inner(choice, "delta")
        refusal = text(delta.get("refusal"))
        self._spoken.count(refusal)
        self._spoken.refusal += refusal
        for call in objects(delta, "tool_calls"):
            self._take_call(call)
        return self._spoken.say(_content(delta))

    def _finish(self, reason: str) -> None:
        if reason == "error":
            raise ProviderBusy(f"{self._server.name} gave up in the middle of its answer.")
        self._finished = True
        self._spoken.finish = _FINISH.get(reason, "stop")

    def _take_call(self, delta: Event) -> None:
        same = self._calls.setdefault(number(delta, "index"), [])
        name = text(delta.get("id"))
        # Some servers give every call the same index and tell them apart by id alone.
        if not same or (name and same[-1].id and name != same[-1].id):
            same.append(Call(name))
        function = inner(delta, "function")
        same[-1].name = same[-1].name or text(function.get("name"))
        arguments = text(function.get("arguments"))
        self._spoken.count(arguments)
        same[-1].arguments.append(arguments)


def _content(delta: Event) -> str:
    """Text, or the text among pieces of several kinds: Mistral's reasoning models send their thoughts beside it."""
    content: Any = delta.get("content")
    if isinstance(content, str):
        return content
    return "".join([text(piece.get("text")) for piece in objects(delta, "content") if piece.get("type") == "text"])


def _usage(event: Event) -> Usage | None:
    told = inner(event, "usage")
    usage = Usage(
        number(told, "prompt_tokens"),
        number(told, "completion_tokens"),
        number(inner(told, "prompt_tokens_details"), "cached_tokens"),
        number(inner(told, "completion_tokens_details"), "reasoning_tokens"),
    )
    return usage if usage.input_tokens or usage.output_tokens else None
