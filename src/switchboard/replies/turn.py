"""A claimed turn: all that is needed to answer it."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict


class Agent(BaseModel):
    """Who answers; ``model`` is provider:model or None for the installation's."""

    model_config = ConfigDict(frozen=True)

    id: int
    name: str
    system_prompt: str
    model: str | None
    temperature: float | None
    max_tokens: int | None


class Line(BaseModel):
    """One message of the transcript; ``attachments`` is their number."""

    model_config = ConfigDict(frozen=True)

    id: int
    seq: int
    sender_type: Literal["user", "bot", "human", "system"]
    content: str
    sent_at: datetime
    attachments: int


class Turn(BaseModel):
    """What `claim_turns` returns for one conversation: lease, address, settings and the last 40 messages."""

    model_config = ConfigDict(frozen=True)

    workspace_id: int
    conversation_id: int
    lease_no: int
    epoch: int
    seq_in: int
    seq_done: int
    attempts: int
    platform: str
    account: str
    recipient: str
    customer_name: str | None
    last_customer_at: datetime | None
    language: str
    confidence_threshold: float
    handover_text: str
    unavailable_text: str
    workspace_name: str
    agent: Agent | None
    transcript: list[Line]

    @property
    def asked(self) -> list[Line]:
        """What the customer said since the last answered turn, and has not taken back."""
        return [line for line in self.transcript if line.sender_type == "user" and line.seq > self.seq_done]

    @property
    def key(self) -> tuple[int, int]:
        """Workspace and conversation."""
        return self.workspace_id, self.conversation_id
