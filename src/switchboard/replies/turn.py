"""A claimed turn: all that is needed to answer it."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict


class Agent(BaseModel):
    """Who answers; ``model`` is provider:model or None for the installation's.

    ``knowledge_documents``: the ids of the only ones that it answers from, None for all.
    """

    model_config = ConfigDict(frozen=True)

    id: int
    name: str
    role: str = ""
    system_prompt: str
    prompt_version: int | None = None
    model: str | None
    temperature: float | None
    max_tokens: int | None
    knowledge_documents: list[int] | None = None


class Line(BaseModel):
    """One message of the transcript; ``attachments`` is their number."""

    model_config = ConfigDict(frozen=True)

    id: int
    seq: int
    sender_type: Literal["user", "bot", "human", "system"]
    content: str
    sent_at: datetime
    attachments: int


class Prompts(BaseModel):
    """The workspace's own words to the AI, in the version that is in force."""

    model_config = ConfigDict(frozen=True)

    version: int
    manual_prompt: str
    knowledge_source: str
    product_service: str
    question_answer: str


class Config(BaseModel):
    """The workspace's settings that a reply is made with.

    ``closed_since`` is the database's word and None while it is open; ``provider_keys`` are encrypted.
    """

    model_config = ConfigDict(frozen=True)

    auto_response: bool
    closed_since: datetime | None
    model: str | None
    temperature: float | None
    max_tokens: int | None
    out_of_hours_text: str
    disclosure_text: str
    prompts: Prompts | None
    provider_keys: dict[str, str]


class Turn(BaseModel):
    """What `claim_turns` returns for one conversation: lease, address, settings and the last 40 messages.

    ``summary``: of what was said before them, if there is more and it was made.
    """

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
    handler: Literal["ai", "human"]
    handed_back_seq: int | None
    handed_back_note: str | None
    disclosed: bool
    config: Config
    agent: Agent | None
    summary: str | None = None
    transcript: list[Line]

    @property
    def asked(self) -> list[Line]:
        """What the customer said since the last answered turn, and has not taken back."""
        # Beyond `seq_in` is what was answered out of turn, while the database was away.
        return [
            line for line in self.transcript if line.sender_type == "user" and self.seq_done < line.seq <= self.seq_in
        ]

    @property
    def automatic(self) -> bool:
        """Whether the AI may answer: it has the conversation, it is switched on, and it is open."""
        return self.handler == "ai" and self.config.auto_response and self.config.closed_since is None

    @property
    def just_handed_back(self) -> bool:
        """Whether everything asked is what a person knew of when they gave the conversation back."""
        return bool(self.asked) and all(line.seq <= (self.handed_back_seq or 0) for line in self.asked)

    @property
    def model(self) -> str | None:
        """The agent's, else the workspace's, as provider:model; None for the installation's."""
        return (self.agent.model if self.agent else None) or self.config.model

    @property
    def prompt_version(self) -> int | None:
        """Of the workspace's prompts; None where it has none."""
        return self.config.prompts.version if self.config.prompts else None

    @property
    def documents(self) -> list[int] | None:
        """The only ones to answer from, None for all."""
        return self.agent.knowledge_documents if self.agent else None

    @property
    def key(self) -> tuple[int, int]:
        """Workspace and conversation."""
        return self.workspace_id, self.conversation_id
