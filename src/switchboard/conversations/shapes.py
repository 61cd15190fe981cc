"""The wire shapes of conversations and messages."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, Field, computed_field

Status = Literal["active", "support_active", "resolved", "archived", "closed"]
StatusFilter = Literal["active", "support_active", "open", "resolved", "archived", "closed", "all"]
"""The statuses, and ``open``: both that are open."""
Lifecycle = Literal["open", "resolved", "archived", "closed"]
Handler = Literal["ai", "human"]


class Conversation(BaseModel):
    """One exchange with one customer. ``status`` is derived: open and AI = active, open and human = support_active."""

    id: int
    workspace_id: int
    user_id: str = Field(description="The customer's id on the platform.")
    platform: str = Field(description="facebook, instagram, telegram, web, streamlit, api, …")
    status: Status
    lifecycle: Lifecycle
    handler: Handler
    priority: int
    assigned_to: str | None
    title: str | None
    requires_human: bool = Field(description="Whether one of its messages waits for a person.")
    agent_id: int | None
    customer_name: str | None
    customer_unreachable_since: datetime | None = Field(description="When the customer blocked us on their channel.")
    created_at: datetime
    updated_at: datetime
    last_message_at: datetime
    closed_at: datetime | None


class Message(BaseModel):
    """One message. ``timestamp`` is the channel's own time; ``cost`` is in US dollars, null when it is not known."""

    id: int
    conversation_id: int
    seq: int = Field(description="Its place in the conversation; grows.")
    sender_type: Literal["user", "bot", "human", "system"]
    author: str | None
    content: str
    attachments: list[dict[str, Any]] = Field(
        description="What came with it, as the channel told (`type`, `url`, …). A file has our copy as well: `id`,"
        " `state` (waiting, stored or failed), `reason`, `name`, `kind`, `content_type`, `bytes`, and once it is stored"
        " a `link` below this address that shows it for five minutes."
    )
    timestamp: datetime
    edited_at: datetime | None
    unsent_at: datetime | None
    reply_to_id: int | None
    provider: str | None
    model: str | None
    input_tokens: int | None
    output_tokens: int | None
    cost: float | None
    latency_ms: int | None
    confidence_score: float | None
    prompt_version: int | None = Field(description="Of the workspace's prompts that it was made with.")
    agent_id: int | None = Field(default=None, description="The agent that wrote it.")
    agent_prompt_version: int | None = Field(default=None, description="Of its system prompt.")
    requires_human: bool
    human_replied: bool
    delivery_state: Literal["pending", "sending", "sent", "delivered", "read", "unknown", "failed", "cancelled"] | None
    delivery_reason: str | None
    metadata: dict[str, Any]


class ChatMessage(Message):
    """A message as programs for language models know it: ``role`` says whose side it is on."""

    @computed_field(description="`assistant` is the AI and your people alike; `sender_type` tells them apart.")
    @property
    def role(self) -> Literal["user", "assistant", "system"]:
        """By who wrote it."""
        return "assistant" if self.sender_type in ("bot", "human") else self.sender_type


class ConversationList(BaseModel):
    """A page of conversations; ``count`` is the number on it."""

    success: Literal[True] = True
    conversations: list[Conversation]
    count: int
    next_cursor: str | None = Field(description="Pass it as `cursor` for the next page; null on the last one.")


class DeletedConversation(Conversation):
    """A conversation that was deleted and can still be restored."""

    deleted_at: datetime
    restorable_until: datetime


class DeletedList(BaseModel):
    """A page of deleted conversations; ``count`` is the number on it."""

    success: Literal[True] = True
    conversations: list[DeletedConversation]
    count: int
    next_cursor: str | None = Field(description="Pass it as `cursor` for the next page; null on the last one.")


class Summary(BaseModel):
    """What was said in a conversation, in short."""

    id: int
    workspace_id: int
    conversation: int
    state: Literal["waiting", "ready", "failed"] = Field(description="`waiting`: it is being made.")
    content: str = Field(description="As it is, also while a newer one is being made; empty before the first.")
    covers_seq: int = Field(description="The last message that it knows of.")
    reason: Literal["closed", "idle", "handed_over", "long", "asked", "changed"] = Field(
        description="Why it was made last; `changed`: a message was taken back or edited."
    )
    provider: str | None
    model: str | None
    error: str | None
    created_at: datetime
    updated_at: datetime


class ConversationWithMessages(BaseModel):
    """A conversation and its newest messages, oldest first."""

    success: Literal[True] = True
    conversation: Conversation
    summary: Summary | None = Field(
        description="What was said before, for whoever takes over; null while there is none."
    )
    messages: list[Message]


class ConversationAnswer(BaseModel):
    """A conversation as it is after a change."""

    success: Literal[True] = True
    conversation: Conversation


class MessageList(BaseModel):
    """A page of messages, oldest first."""

    success: Literal[True] = True
    messages: list[Message]
    count: int
    next_cursor: str | None = Field(description="Pass it as `cursor` for the messages before these; null at the start.")


class ChatMessageList(BaseModel):
    """A page of messages; ``count`` is the number on it."""

    success: Literal[True] = True
    messages: list[ChatMessage]
    count: int
    next_cursor: str | None = Field(description="Pass it as `cursor` for older ones; null when there are none.")


class MessageAnswer(BaseModel):
    """A message as it is after a change."""

    success: Literal[True] = True
    message: Message


class Stats(BaseModel):
    """Counts over all that the caller may see."""

    total_conversations: int
    active_conversations: int
    total_messages: int
    messages_requiring_human: int
    timestamp: datetime


class StatsAnswer(BaseModel):
    """The counts of the admin panel."""

    success: Literal[True] = True
    stats: Stats
