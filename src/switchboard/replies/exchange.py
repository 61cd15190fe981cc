"""What is said in one request, and what the API shows of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from switchboard.auth import Caller
from switchboard.database import Row


@dataclass(frozen=True, slots=True)
class Saying:
    """What a customer says. ``external_id`` names this message for ever; ``at_once``: nobody waits for the reply."""

    caller: Caller
    conversation_id: int
    content: str
    external_id: str
    at_once: bool = False


@dataclass(frozen=True, slots=True)
class Question:
    """What a program's user asks in their session, which has yet to be found or opened; ``agent_id`` is for a new one.

    ``external_id`` and ``at_once`` as in `Saying`.
    """

    caller: Caller
    workspace_id: int
    customer_id: str
    content: str
    external_id: str
    agent_id: int | None = None
    at_once: bool = False


@dataclass(frozen=True, slots=True)
class Exchange:
    """A message as the API shows it, with its ``handler``, and its reply if there is one.

    ``tracked``: whether the database has them; without that their ``id`` and ``seq`` are None. ``handler``: who has the
    conversation afterwards. ``handed_over``: whether the AI gave it to a person with this reply. ``waiting``: whether
    the AI's reply is still to come.
    """

    message: Row
    reply: Row | None
    tracked: bool
    handler: str
    handed_over: bool = False
    waiting: bool = False

    @property
    def is_due(self) -> bool:
        """Whether something is still to come: the AI's reply, or the place of the message in the database."""
        return self.reply is None and (not self.tracked or self.message["handler"] == "ai")

    @property
    def is_written(self) -> bool:
        """Whether the AI has written the reply: not that it is closed, and not an apology in its place."""
        return (
            self.reply is not None and self.reply["sender_type"] == "bot" and "finish_reason" in self.reply["metadata"]
        )


_AGENT = ("agent_id", "agent_prompt_version")


def shown_message(saying: Saying, sent_at: str, handler: str, customer: str) -> Row:
    """An untracked message as `store_exchange` will store it; times in ISO 8601."""
    return _shown(saying, "user", saying.content, sent_at) | {
        "handler": handler,
        "customer": customer,
        "metadata": {"tracked": False, "external_id": saying.external_id},
    }


def shown_reply(saying: Saying, reply: Mapping[str, Any], hand_over: bool) -> Row:
    """An untracked reply, from its receipt, as `store_exchange` will store it."""
    same = ("provider", "model", "input_tokens", "output_tokens", "cost", "latency_ms", "prompt_version", *_AGENT)
    metadata = {"finish_reason": reply["finish_reason"], "sources": reply["sources"]}
    if reply.get("disclosed"):
        metadata["disclosed"] = True
    return _shown(saying, "bot", reply["text"], reply["sent_at"]) | {
        **{name: reply[name] for name in same},
        "confidence_score": reply["confidence"],
        "requires_human": hand_over or reply.get("requires_human", False),
        "delivery_state": "sent",
        "metadata": {"tracked": False, "answers": saying.external_id, **metadata},
    }


def _shown(saying: Saying, sender: str, content: str, sent_at: str) -> Row:
    nothing = dict.fromkeys(
        (
            *("id", "seq", "author", "edited_at", "unsent_at", "reply_to_id", "provider", "model", "input_tokens"),
            *("output_tokens", "cost", "latency_ms", "confidence_score", "prompt_version", *_AGENT),
            *("delivery_state", "delivery_reason"),
        )
    )
    return nothing | {
        "conversation_id": saying.conversation_id,
        "sender_type": sender,
        "content": content,
        "attachments": [],
        "timestamp": sent_at,
        "requires_human": False,
        "human_replied": False,
    }
