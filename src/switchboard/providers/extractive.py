"""The provider ``extractive``: answers by quoting the workspace's knowledge, and hands over when it knows nothing.

Built in, with no key, no network and no cost. It never says anything that is not in a passage, except for a greeting.
"""

from collections.abc import AsyncGenerator, Iterator
from typing import Literal

from switchboard.errors import ProviderRefused
from switchboard.providers import HAND_OVER, Capabilities, Chunk, Done, Prompt, Text, ToolCall, Usage
from switchboard.providers.quote import quote
from switchboard.providers.smalltalk import asks_for_person, courtesy

ENOUGH = 0.5
"""The least score of a passage that is quoted: half of the question's meaningful words must be in it."""
MOST_CHARACTERS = 1_500
"""Of an answer; a longer one is cut after a word."""
MOST_ASKED = 1_000
"""Characters of a question that are compared."""
MODEL = "quote"


class Extractive:
    """Quotes the best passage; its only model is ``quote``. ``Done.confidence`` is the score of that passage."""

    name = "extractive"

    def capabilities(self, model: str) -> Capabilities:
        """It asks for a person by itself, and there is nothing that a temperature could change."""
        return Capabilities(tools=True, temperature=False)

    async def stream(self, prompt: Prompt) -> AsyncGenerator[Chunk, None]:
        """Text, a sentence at a time, or the call to hand over; then `Done`.

        Raises `ProviderRefused` if a person is needed and ``prompt.tools`` has no `HAND_OVER`. Only the customer's own
        words can ask for a person or be a greeting; a passage is quoted or not, whatever it says.
        """
        for chunk in _answer(prompt):
            yield chunk

    async def close(self) -> None:
        """Nothing to give back."""


def _answer(prompt: Prompt) -> Iterator[Chunk]:
    known = [passage for passage in prompt.passages if passage.score >= ENOUGH and passage.text.strip()]
    best = max((passage.score for passage in prompt.passages), default=0.0)
    if asks_for_person(prompt.question):
        yield from _hand_over(prompt, "The customer asks for a person.", best)
    elif line := courtesy(prompt.question):
        yield Text(line)
        yield _done("stop", 1.0)
    elif not known:
        yield from _hand_over(prompt, "The knowledge does not answer this question.", best)
    else:
        most = min(MOST_CHARACTERS, 4 * (prompt.max_tokens or MOST_CHARACTERS))
        pieces = quote(prompt.question[:MOST_ASKED], known)
        yield from (Text(piece) for piece in _shortened(pieces, most))
        yield _done("stop" if len("".join(pieces)) <= most else "length", best)


def _hand_over(prompt: Prompt, reason: str, best: float) -> Iterator[Chunk]:
    if HAND_OVER.name not in {tool.name for tool in prompt.tools}:
        raise ProviderRefused(reason)
    yield ToolCall(HAND_OVER.name, {"reason": reason})
    yield _done("tool", best)


def _shortened(pieces: list[str], most: int) -> Iterator[str]:
    for piece in pieces:
        if len(piece) > most:
            cut = piece[:most].rsplit(maxsplit=1)[0] if piece[:most].split() else ""
            yield from [cut] if cut else []
            return
        most -= len(piece)
        yield piece


def _done(finish_reason: Literal["stop", "length", "tool"], confidence: float) -> Done:
    return Done(Usage(), finish_reason, MODEL, min(max(confidence, 0.0), 1.0))
