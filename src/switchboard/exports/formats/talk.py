"""What was said, as models are taught it: questions, answers, and what went before. Only what was heard."""

from collections import deque
from collections.abc import Iterator
from typing import Any

from switchboard.exports.conversation import Message, Part

CONTEXT_MESSAGES = 20
CONTEXT_LETTERS = 32_000
"""How much of what went before goes with an answer: of a long conversation not all of it with each."""
_ROLES = {"guest": "user", "ai": "assistant", "human": "assistant"}


def role_of(message: Message) -> str | None:
    """`user` or `assistant`; None for what teaches nobody: notes of the system, what never arrived, files alone."""
    if not message.heard or not message.text.strip():
        return None
    return _ROLES.get(message.sender_type)


class Exchanges:
    """Question and answer, again and again, as parts of conversations go by."""

    def __init__(self) -> None:
        self._before: deque[dict[str, Any]] = deque(maxlen=CONTEXT_MESSAGES)
        self._question: list[str] = []
        self.asked_at = ""

    def in_part(self, part: Part) -> Iterator[tuple[str, Message, list[dict[str, Any]]]]:
        """The question, the answer and the context (``role``, ``content``, ``timestamp``), the question in it."""
        if part.first:
            self._before.clear()
            self._question.clear()
        for message in part.messages:
            role = role_of(message)
            if role is None:
                continue
            if message.sender_type == "ai" and self._question:
                yield "\n".join(self._question), message, _shortened(self._before)
            if role == "user":
                self._question.append(message.text)
            else:
                self._question.clear()
            self._before.append({"role": role, "content": message.text, "timestamp": message.timestamp})


def _shortened(before: deque[dict[str, Any]]) -> list[dict[str, Any]]:
    room, kept = CONTEXT_LETTERS, list[dict[str, Any]]()
    for each in reversed(before):
        room -= len(each["content"])
        if room < 0 and kept:
            break
        kept.append(each)
    return kept[::-1]
