"""What may be asked for, and what is told of it."""

from datetime import date, datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from switchboard.exports.asked import ALIASES, FormatName

Stored = Literal["html"] | FormatName


class Wanted(BaseModel):
    """The conversations of one assistant that began in the last days."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"assistant_id": 1, "days": 30}})

    assistant_id: int = Field(ge=1, le=2**53, description="Whose conversations: the id of an agent.")
    days: int = Field(ge=1, le=365, description="How many days of the workspace's clock, today included.")
    format: Stored = Field("html", description="`excel` is xlsx, `ml_training` is ml.")
    include_open: bool = Field(False, description="Those that are not completed, too; how many were left out is told.")
    anonymize: bool = Field(True, description="False needs the role owner, and is written down.")
    include_ip_addresses: bool = Field(False, description="The guest's, where one is known.")
    include_metadata: bool = Field(
        True, description="Services and models (not in html), and ratings, flags, summaries, agents and channels."
    )
    workspace: Annotated[int | None, BeforeValidator(lambda value: None if value == "" else value)] = Field(
        None, ge=1, le=2**53, description="Needed only for a public assistant of another workspace."
    )

    @property
    def format_name(self) -> str:
        """Without aliases."""
        return ALIASES.get(self.format, self.format)

    @property
    def options(self) -> dict[str, Any]:
        """What of the conversations is told, as `exports.asked.Options` has it."""
        return self.model_dump(include={"anonymize", "include_ip_addresses", "include_metadata"})


class Assistant(BaseModel):
    """Whose conversations they are; the name is that of the time when it was asked for."""

    id: int
    name: str


class Progress(BaseModel):
    """Conversations."""

    done: int
    total: int | None = Field(description="Null until it has begun.")


class StoredExport(BaseModel):
    """An export, as its person sees it."""

    success: Literal[True] = True
    id: int
    workspace: int
    assistant: Assistant
    format: str
    days: int
    start_date: date
    end_date: date
    include_open: bool
    anonymize: bool
    state: Literal["queued", "running", "ready", "failed", "expired"]
    reason: str | None = Field(description="Why it has failed, or is tried again.")
    progress: Progress
    left_out: int | None = Field(description="Open conversations of these days that are not in it.")
    file_name: str | None = Field(description="Null until it is ready.")
    size: int | None = Field(description="In bytes.")
    sha256: str | None = Field(description="Of the whole file.")
    created_at: datetime
    finished_at: datetime | None
    expires_at: datetime | None


class StoredExports(BaseModel):
    """A page of exports; ``count`` is the number on it."""

    success: Literal[True] = True
    exports: list[StoredExport]
    count: int
    next_cursor: str | None = Field(description="Pass it as `cursor` for the next page; null on the last one.")
