"""Model providers: one prompt in, a stream of chunks out.

Promises: streaming is the only path (`complete` gathers it, for everybody); a stream that ends without its end marker
is an error; a vendor's JSON never leaves its file; SDKs are imported only when their provider is configured.

Raises `ProviderBusy` (try again or elsewhere, with ``retry_after`` in seconds), `ProviderRefused` (this prompt will
not be answered) and `ProviderMisconfigured` (says what to set). Does not know: conversations, channels, the database.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol


@dataclass(frozen=True, slots=True)
class Said:
    """One message of the conversation so far."""

    role: Literal["user", "assistant"]
    text: str


@dataclass(frozen=True, slots=True)
class Passage:
    """A piece of the workspace's knowledge that was found for the question.

    ``score``: 0–1, the share of the question's meaningful words that the passage holds.
    """

    chunk_id: int
    document_id: int
    title: str
    text: str
    score: float


@dataclass(frozen=True, slots=True)
class Tool:
    """Something the model may ask for; ``parameters`` is a JSON Schema object."""

    name: str
    description: str
    parameters: dict[str, Any]


HAND_OVER = Tool(
    name="hand_over",
    description=(
        "Pass the conversation to a person of the team. Use it when the customer asks for a person, when the answer is"
        " not in the given knowledge, or when a decision is needed that only a person may take."
    ),
    parameters={
        "type": "object",
        "properties": {"reason": {"type": "string", "description": "Why a person is needed, in one sentence."}},
        "required": ["reason"],
        "additionalProperties": False,
    },
)


@dataclass(frozen=True, slots=True)
class Prompt:
    """All that a model is told. ``temperature`` 0–2 or None for the provider's own; ``max_tokens`` of the answer."""

    model: str
    system: str
    messages: tuple[Said, ...]
    passages: tuple[Passage, ...] = ()
    tools: tuple[Tool, ...] = (HAND_OVER,)
    temperature: float | None = None
    max_tokens: int | None = None

    @property
    def question(self) -> str:
        """What the customer said since the last answer, one message a line."""
        asked: list[str] = []
        for said in reversed(self.messages):
            if said.role != "user":
                break
            asked.append(said.text)
        return "\n".join(reversed(asked))


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one call. ``input_tokens`` includes cached ones, ``output_tokens`` includes reasoning.

    ``estimated`` says that the provider did not report them and they were counted from the text (4 characters a token).
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    estimated: bool = False


@dataclass(frozen=True, slots=True)
class Text:
    """A piece of the answer."""

    text: str


@dataclass(frozen=True, slots=True)
class ToolCall:
    """The model asks for a tool."""

    name: str
    arguments: dict[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class Done:
    """The end of a stream; ``model`` as the provider names it.

    ``confidence`` 0–1 where the provider itself can tell how well it knows, else None.
    """

    usage: Usage
    finish_reason: Literal["stop", "length", "tool", "filter"]
    model: str
    confidence: float | None = None


Chunk = Text | ToolCall | Done


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a model can do."""

    tools: bool
    temperature: bool


class Provider(Protocol):
    """One vendor, or one server that speaks a vendor's wire."""

    @property
    def name(self) -> str:
        """As in ``provider:model``."""
        ...

    def capabilities(self, model: str) -> Capabilities:
        """What ``model`` can do."""
        ...

    def stream(self, prompt: Prompt) -> AsyncGenerator[Chunk, None]:
        """Text and tool calls as they come, then exactly one `Done`.

        Whoever stops reading early closes it (`contextlib.aclosing`), which ends the provider's work at once.
        """
        ...

    async def close(self) -> None:
        """Gives back the connections."""
        ...


@dataclass(frozen=True, slots=True)
class Completion:
    """A whole answer, gathered from a stream."""

    text: str
    tool_calls: tuple[ToolCall, ...]
    done: Done


async def complete(provider: Provider, prompt: Prompt) -> Completion:
    """Reads ``provider.stream(prompt)`` to its end."""
    pieces: list[str] = []
    calls: list[ToolCall] = []
    async with aclosing(provider.stream(prompt)) as chunks:
        async for chunk in chunks:
            if isinstance(chunk, Done):
                return Completion("".join(pieces), tuple(calls), chunk)
            if isinstance(chunk, Text):
                pieces.append(chunk.text)
            else:
                calls.append(chunk)
    raise AssertionError(f"{provider.name} ended its stream without Done")
