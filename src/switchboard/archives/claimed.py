"""An export that is to be made, and what is known once it has begun."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict

from switchboard.exports.asked import Options
from switchboard.exports.formats import STORED, Format


class Claimed(BaseModel):
    """What `claim_export_job` returns."""

    model_config = ConfigDict(frozen=True)

    workspace_id: int
    job_id: int
    lease_no: int
    attempts: int
    format: str
    filters: dict[str, Any]
    options: Options
    days: int
    assistant_id: int
    assistant: str
    time_zone: str

    @property
    def lease(self) -> dict[str, int]:
        """What says to the database that we hold it."""
        return self.model_dump(include={"workspace_id", "job_id", "lease_no"})

    @property
    def key(self) -> str:
        """Under which its file is kept: of this lease alone, so that nobody overwrites what another has made."""
        return f"exports/{self.workspace_id}/{self.job_id}/{self.lease_no}"

    @property
    def kind(self) -> Format:
        """The format."""
        return STORED[self.format]


class Started(BaseModel):
    """What `start_export_job` returns: up to which message it goes, and how much that is."""

    model_config = ConfigDict(frozen=True)

    watermark: dict[str, Any]
    pseudonym_key: str
    total: int
    left_out: int
    running: str

    @property
    def at(self) -> datetime:
        """When it began."""
        return datetime.fromisoformat(self.watermark["at"])
