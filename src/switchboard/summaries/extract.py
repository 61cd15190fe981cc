"""A summary without any model: the questions and answers that hold most of what the conversation is about.

It quotes and invents nothing, so it is in the conversation's language. Lines begin with `Q:` (the customer), `A:` (the
AI) or `P:` (a person of the team).
"""

import re
from collections import Counter
from collections.abc import Sequence
from itertools import chain

from switchboard.summaries.claimed import Spoken

MOST_LINES = 12
MOST_CHARACTERS = 220
"""Of one line."""
_SIGNS = {"user": "Q:", "bot": "A:", "human": "P:"}
_WORD = re.compile(r"\w{4,}")
_SENTENCE_END = re.compile(r"(?<=[.!?。？！])\s+")


def extract(previous: str, messages: Sequence[Spoken]) -> str:
    """The summary of what ``previous`` sums up and ``messages`` add; at most `MOST_LINES` lines, in their order."""
    said = [_line(message) for message in messages if message.sender_type in _SIGNS and message.content.strip()]
    lines = list(dict.fromkeys([*previous.splitlines(), *said]))
    if len(lines) <= MOST_LINES:
        return "\n".join(lines)
    frequent = Counter(chain.from_iterable(map(_words, lines)))
    weights = [_weight(line, frequent) for line in lines]
    # How it began and how it stands now are always told.
    chosen = {0, len(lines) - 1, len(lines) - 2}
    ranked = sorted(range(len(lines)), key=lambda at: (-weights[at], -at))
    chosen |= set([at for at in ranked if at not in chosen][: MOST_LINES - len(chosen)])
    return "\n".join(lines[at] for at in sorted(chosen))


def _line(message: Spoken) -> str:
    """What a message says first, cut between words; of several sentences as many as fit."""
    kept = ""
    for sentence in _SENTENCE_END.split(" ".join(message.content.split())):
        if kept and len(kept) + len(sentence) >= MOST_CHARACTERS:
            break
        kept = f"{kept} {sentence}".strip()
    if len(kept) > MOST_CHARACTERS:
        kept = kept[: MOST_CHARACTERS - 1].rsplit(" ", 1)[0] + "…"
    return f"{_SIGNS[message.sender_type]} {kept}"


def _words(line: str) -> set[str]:
    return set(_WORD.findall(line.lower()))


def _weight(line: str, frequent: Counter[str]) -> float:
    """How much of what is often spoken of is in a line, for its length; what people said counts double."""
    words = _words(line)
    shared = sum(frequent[word] - 1 for word in words) / (len(words) + 3)
    return shared * (2 if line.startswith("P:") else 1)
