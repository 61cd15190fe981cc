"""What may be asked for: which conversations, what of them, in which format."""

from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, model_validator

from switchboard.errors import Invalid
from switchboard.settings import USUAL_MODELS, Settings

FormatName = Literal["json", "csv", "xlsx", "excel", "ml", "ml_training", "jsonl", "pairs"]
Status = Literal["active", "support_active", "resolved", "archived", "closed"]
FlagFilter = Literal["any", "safety_issue", "inappropriate", "factual_error", "outdated", "off_topic"]
ALIASES: dict[str, str] = {"excel": "xlsx", "ml_training": "ml"}
_FILTERS = {"start_date", "end_date", "ai_service", "min_messages", "status", "agent", "channel", "rating", "flag"}
_OPTIONS = {"anonymize", "include_ip_addresses", "include_metadata", "bom"}


class Watermark(BaseModel):
    """Up to which message an export goes, as its manifest says."""

    model_config = ConfigDict(extra="forbid")

    message_id: int = Field(ge=0, le=2**53)
    at: datetime = Field(description="When the export began.")

    def as_json(self) -> dict[str, Any]:
        """The same in the form of the manifest."""
        at = self.at if self.at.tzinfo else self.at.replace(tzinfo=UTC)
        return {"message_id": self.message_id, "at": at.astimezone(UTC).isoformat().replace("+00:00", "Z")}


class Options(BaseModel):
    """What of the conversations is told."""

    model_config = ConfigDict(frozen=True)

    anonymize: bool = True
    include_ip_addresses: bool = False
    include_metadata: bool = True
    bom: bool = False


def _filled(value: Any) -> Any:
    """A field of a form that was left empty is not set."""
    return None if value == "" else value


class Asked(BaseModel):
    """Filters and options of an export. Without filters it is of all conversations in which something was said."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    workspace: Annotated[int | None, BeforeValidator(_filled)] = Field(
        None, ge=1, le=2**53, description="Needed only where the token has more than one."
    )
    format: FormatName = Field("json", description="`excel` is xlsx, `ml_training` is ml.")
    start_date: Annotated[date | None, BeforeValidator(_filled)] = Field(
        None, description="Begun on this day of the workspace's clock, or later."
    )
    end_date: Annotated[date | None, BeforeValidator(_filled)] = Field(
        None, description="Begun on this day, or before."
    )
    ai_service: Annotated[str | None, BeforeValidator(_filled)] = Field(
        None, max_length=100, description="In which this provider has answered, such as `mistral`."
    )
    min_messages: Annotated[int | None, BeforeValidator(_filled)] = Field(
        None, ge=1, le=2**31 - 1, description="With so many messages or more."
    )
    status: Annotated[Status | None, BeforeValidator(_filled)] = Field(
        None, description="`active` is every open one, whether the AI or a person has it."
    )
    agent: Annotated[int | None, BeforeValidator(_filled)] = Field(None, ge=1, le=2**53, description="Of this agent.")
    channel: Annotated[str | None, BeforeValidator(_filled)] = Field(
        None, pattern="^[a-z][a-z0-9_-]{0,39}$", description="On this platform, such as `facebook`."
    )
    rating: Annotated[int | None, BeforeValidator(_filled)] = Field(
        None, ge=1, le=5, description="With an answer somebody has rated so."
    )
    flag: Annotated[FlagFilter | None, BeforeValidator(_filled)] = Field(
        None, description="With an answer somebody has flagged so; `any` is any flag."
    )
    anonymize: bool = Field(True, description="False needs the role owner as well, and is written down.")
    include_ip_addresses: bool = Field(False, description="The guest's, where one is known.")
    include_metadata: bool = Field(
        True, description="Services and models, and ratings, flags, summaries, agents and channels."
    )
    bom: bool = Field(False, description="Begin CSV with a byte order mark, for old versions of Excel.")
    watermark: Annotated[Watermark | None, BeforeValidator(_filled)] = Field(
        None, description="That of an earlier export's manifest, to get the same once more."
    )
    pseudonym_key: Annotated[SecretStr | None, BeforeValidator(_filled)] = Field(
        None, description="32 bytes in hex: the same person gets the same pseudonym under it. Without one it is fresh."
    )

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if self.start_date and self.end_date and self.start_date > self.end_date:
            raise ValueError(f"start_date {self.start_date} is after end_date {self.end_date}: swap them")
        if self.pseudonym_key is not None:
            try:
                fits = len(bytes.fromhex(self.pseudonym_key.get_secret_value())) >= 32
            except ValueError:
                fits = False
            if not fits:
                raise ValueError("pseudonym_key must be 32 bytes or more in hex: make one with `openssl rand -hex 32`")
        if self.ai_service is not None:
            self.ai_service = self.ai_service.lower()
        return self

    @property
    def format_name(self) -> str:
        """Without aliases."""
        return ALIASES.get(self.format, self.format)

    @property
    def key(self) -> bytes | None:
        """The key under which pseudonyms are made, where one is given."""
        return bytes.fromhex(self.pseudonym_key.get_secret_value()) if self.pseudonym_key else None

    @property
    def filters(self) -> dict[str, Any]:
        """Those that are set, as the database takes them and the manifest says them."""
        return self.model_dump(mode="json", include=_FILTERS, exclude_none=True)

    @property
    def options(self) -> Options:
        """What of the conversations is told."""
        return Options(**self.model_dump(include=_OPTIONS))


def services(settings: Settings) -> list[str]:
    """The providers this installation knows by name."""
    return [*USUAL_MODELS, *settings.openai_addresses]


def wrong(field: str, message: str) -> Invalid:
    """An error that names a field."""
    return Invalid(errors=[{"field": field, "message": message}])
