"""Having a model write an answer, with an eye on the clock and on whether anybody still wants it."""

import time
from contextlib import aclosing
from dataclasses import dataclass, field

from switchboard.failpoints import reach
from switchboard.providers import Done, Prompt, Provider, Text, ToolCall, Usage

CHARACTERS_PER_TOKEN = 4


@dataclass(slots=True)
class Draft:
    """An answer as far as it has come; ``done`` is None while it is unfinished. Times in milliseconds."""

    prompt: Prompt
    started: float = field(default_factory=time.monotonic)
    pieces: list[str] = field(default_factory=list[str])
    calls: list[ToolCall] = field(default_factory=list[ToolCall])
    done: Done | None = None
    first_token_ms: int | None = None

    @property
    def text(self) -> str:
        """What has been written."""
        return "".join(self.pieces).strip()

    @property
    def handed_over(self) -> ToolCall | None:
        """The call for a person, if the model made one."""
        return next((call for call in self.calls if call.name == "hand_over"), None)

    @property
    def latency_ms(self) -> int:
        """Time since the call began."""
        return round((time.monotonic() - self.started) * 1000)

    @property
    def usage(self) -> Usage:
        """Tokens as reported, or estimated from the text when the call ended before it could report them."""
        if self.done is not None:
            return self.done.usage
        told = len(self.prompt.system) + sum(len(said.text) for said in self.prompt.messages)
        return Usage(told // CHARACTERS_PER_TOKEN, len(self.text) // CHARACTERS_PER_TOKEN, estimated=True)


async def write(draft: Draft, provider: Provider) -> None:
    """Fills the draft from the provider's stream; what was written stays in it when this is cancelled or fails."""
    await reach("before_first_chunk")
    async with aclosing(provider.stream(draft.prompt)) as stream:
        async for chunk in stream:
            if draft.first_token_ms is None:
                draft.first_token_ms = draft.latency_ms
            if isinstance(chunk, Done):
                draft.done = chunk
            elif isinstance(chunk, Text):
                draft.pieces.append(chunk.text)
            else:
                draft.calls.append(chunk)
            await reach("mid_stream")
