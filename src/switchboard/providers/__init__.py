"""Model providers: one prompt in, a stream of chunks out.

Promises: streaming is the only path (`complete` gathers it, for everybody); a stream that ends without its end marker
is an error; a vendor's JSON never leaves its file; SDKs are imported only when their provider is configured.

Raises `ProviderBusy` (try again or elsewhere, with ``retry_after`` in seconds), `ProviderRefused` (this prompt will
not be answered) and `ProviderMisconfigured` (says what to set). Does not know: conversations, channels, the database.
"""

import os
import re
import time
import uuid
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from typing import Any, Literal, Protocol

from switchboard.errors import Fault

# Characters that are invisible to people and readable to models: bidirectional controls, variation selectors beyond
# those of emoji, word joiners and other things without a width, and the Tag block.
_INVISIBLE = re.compile("[\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufeff\U000e0000-\U000e01ef]")
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")


def storable(text: str) -> str:
    """What a model wrote, with U+FFFD for what no database can hold: NUL and half a surrogate pair."""
    return _UNSTORABLE.sub("\ufffd", text)


def clean(text: str) -> str:
    """The text as a person would see it: without invisible characters that only a model reads."""
    return _INVISIBLE.sub("", text)


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


def _by_nobody() -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Prompt:
    """All that a model is told. ``temperature`` 0–2 or None for the provider's own; ``max_tokens`` of the answer.

    ``shown`` says whether somebody has read some of the answer as it came: then no other model may begin it anew.
    """

    model: str
    system: str
    messages: tuple[Said, ...]
    passages: tuple[Passage, ...] = ()
    tools: tuple[Tool, ...] = (HAND_OVER,)
    temperature: float | None = None
    max_tokens: int | None = None
    shown: Callable[[], bool] = _by_nobody

    @property
    def question(self) -> str:
        """What the customer said since the last answer, one message a line."""
        asked: list[str] = []
        for said in reversed(self.messages):
            if said.role != "user":
                break
            asked.append(said.text)
        return "\n".join(reversed(asked))

    @property
    def opened(self) -> tuple["Said", ...]:
        """``messages`` for vendors that insist on the user speaking first: an ellipsis stands for what was left out."""
        if self.messages and self.messages[0].role == "assistant":
            return (Said("user", "…"), *self.messages)
        return self.messages

    @property
    def characters(self) -> int:
        """How much is told, for an estimate of its tokens; with what is wrapped around a message and a tool."""
        texts = [self.system, *(said.text for said in self.messages)]
        tools = [f"{tool.name}{tool.description}{tool.parameters}" for tool in self.tools]
        return sum(map(len, texts)) + 33 * len(texts) + sum(map(len, tools)) + 80 * len(tools)


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


CHARACTERS_PER_TOKEN = 4


def estimate(prompt: Prompt, answered: int) -> Usage:
    """The tokens of a call that nobody reported; ``answered``: characters of text and arguments that came."""
    return Usage(-(-prompt.characters // CHARACTERS_PER_TOKEN), -(-answered // CHARACTERS_PER_TOKEN), estimated=True)


@dataclass(frozen=True, slots=True)
class Text:
    """A piece of the answer, as it can be stored."""

    text: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "text", storable(self.text))


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

    def __post_init__(self) -> None:
        object.__setattr__(self, "model", storable(self.model))


Outcome = Fault | Literal["running", "answered", "skipped", "stopped"]


def _name_call() -> str:
    # What is booked at the same time lies together in the ledger's index: the name begins with the time.
    return str(uuid.UUID(int=time.time_ns() // 1_000_000 << 80 | int.from_bytes(os.urandom(10), "big")))


@dataclass(slots=True)
class Attempt:
    """One call to one model, told before its first chunk and filled in as it goes. Times in milliseconds.

    Another one in the same stream voids what came before it: that model failed, and this one begins from scratch.
    ``outcome``: ``answered``, ``stopped`` by the reader, what was wrong, or ``skipped``: no call was made, because the
    model has just failed others. ``reason``: for people, in the provider's own words. ``call_id``: a UUID by which the
    ledger knows it, however often it is told of it.
    """

    provider: str
    model: str
    outcome: Outcome = "running"
    reason: str | None = None
    usage: Usage = Usage()
    latency_ms: int = 0
    first_token_ms: int | None = None
    call_id: str = field(default_factory=_name_call)

    def cost(self, price: Decimal | None) -> Decimal | None:
        """US dollars, given what its tokens cost, None where that is not known; nothing for a call turned away."""
        turned_away = self.usage == Usage() and self.outcome not in ("running", "answered", "stopped")
        return Decimal(0) if turned_away else price

    def told(self, price: Decimal | None) -> dict[str, Any]:
        """As the ledger takes it; ``price`` of its tokens in US dollars, None where it is not known."""
        told, cost = asdict(self), self.cost(price)
        usage: dict[str, Any] = told.pop("usage")
        return {**told, **usage, "cost": None if cost is None else str(cost)}


Chunk = Attempt | Text | ToolCall | Done


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
        """Text and tool calls as they come, then exactly one `Done`; an `Attempt` before, where several may be made.

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
            if isinstance(chunk, Attempt):
                pieces, calls = [], []
            elif isinstance(chunk, Text):
                pieces.append(chunk.text)
            else:
                calls.append(chunk)
    raise AssertionError(f"{provider.name} ended its stream without Done")
