"""A summary that is to be made, and what it is to be made of."""

from typing import Literal

from pydantic import BaseModel, ConfigDict


class Spoken(BaseModel):
    """One message; ``content`` has at most 2,000 characters."""

    model_config = ConfigDict(frozen=True)

    seq: int
    sender_type: Literal["user", "bot", "human", "system"]
    content: str


class Claimed(BaseModel):
    """What `claim_summaries` returns: the summary so far, empty for none, and what was said since."""

    model_config = ConfigDict(frozen=True)

    workspace_id: int
    summary_id: int
    conversation_id: int
    lease_no: int
    attempts: int
    workspace_name: str
    previous: str
    messages: list[Spoken]
    last_seq: int

    @property
    def lease(self) -> dict[str, int]:
        """What says to the database that we hold it."""
        return self.model_dump(include={"workspace_id", "summary_id", "lease_no"})
