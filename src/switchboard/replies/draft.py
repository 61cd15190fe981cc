"""Having a model write an answer, with an eye on the clock and on whether anybody still wants it."""

import time
from contextlib import aclosing
from dataclasses import dataclass, field

from switchboard.errors import ProviderBusy
from switchboard.failpoints import reach
from switchboard.providers import Attempt, Done, Prompt, Provider, Text, ToolCall, Usage, estimate
from switchboard.replies.overheard import Voice


@dataclass(slots=True)
class Draft:
    """An answer as far as it has come; ``done`` is None while it is unfinished. Times in milliseconds.

    ``voice`` says it aloud to those who wait for it.
    """

    prompt: Prompt
    voice: Voice | None = None
    started: float = field(default_factory=time.monotonic)
    pieces: list[str] = field(default_factory=list[str])
    calls: list[ToolCall] = field(default_factory=list[ToolCall])
    attempts: list[Attempt] = field(default_factory=list[Attempt])
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
    def call(self) -> Attempt | None:
        """The last call that was made to a model: the one that wrote what there is, unless none did."""
        return next((attempt for attempt in reversed(self.attempts) if attempt.outcome != "skipped"), None)

    @property
    def usage(self) -> Usage:
        """Tokens of that call as reported, or estimated when it ended before it could report them."""
        if self.done is not None:
            return self.done.usage
        if self.attempts:
            return self.call.usage if self.call else Usage()
        return estimate(self.prompt, len(self.text))

    def whole(self) -> Done:
        """The end of an answer that can be used. Raises `ProviderBusy` for one of nothing: its call failed, then."""
        if self.done is None or not (self.text or self.calls):
            if self.call is not None:
                self.call.outcome = "broken"
            raise ProviderBusy("The model answered nothing.")
        return self.done

    def begin(self, attempt: Attempt) -> None:
        """Another model starts: nobody has read what the last one wrote (`Prompt.shown`), so it is dropped."""
        self.attempts.append(attempt)
        if self.voice is not None:
            self.voice.begin_again()
        self.pieces.clear()
        self.calls.clear()
        self.first_token_ms = None

    def add(self, text: str) -> None:
        """The model has written on."""
        self.pieces.append(text)
        if self.voice is not None:
            self.voice.say(text)


async def write(draft: Draft, provider: Provider) -> None:
    """Fills the draft from the provider's stream; what was written stays in it when this is cancelled or fails."""
    await reach("before_first_chunk")
    async with aclosing(provider.stream(draft.prompt)) as stream:
        async for chunk in stream:
            if isinstance(chunk, Attempt):
                draft.begin(chunk)
                continue
            if draft.first_token_ms is None:
                draft.first_token_ms = draft.latency_ms
            if isinstance(chunk, Done):
                draft.done = chunk
            elif isinstance(chunk, Text):
                draft.add(chunk.text)
            else:
                draft.calls.append(chunk)
            await reach("mid_stream")
