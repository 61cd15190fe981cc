"""The config of a workspace on the wire."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, StringConstraints

from switchboard.http.strict_json import read_json
from switchboard.workspaces.hours import BusinessHours

ReplyHandler = Literal["AI", "Manual"]
HANDLERS: dict[ReplyHandler, Literal["ai", "human"]] = {"AI": "ai", "Manual": "human"}


def _spelt(value: Any) -> Any:
    """`ai` and `MANUAL` are what they look like."""
    return {"ai": "AI", "manual": "Manual"}.get(value.casefold(), value) if isinstance(value, str) else value


def _blank_is_null(value: Any) -> Any:
    """A form has no null: an empty field says so."""
    return None if value == "" else value


def _from_text(value: Any) -> Any:
    """A form has no objects: their JSON stands in the field. Raises `ValueError` for what is no JSON."""
    if not isinstance(value, str):
        return value
    if not value:
        return None
    try:
        return read_json(value.encode())
    except Exception as error:
        raise ValueError("Send an object; in a form, its JSON") from error


Spoken = Annotated[str, StringConstraints(min_length=1, max_length=2000, strip_whitespace=True)]
Silent = Annotated[str, StringConstraints(max_length=2000, strip_whitespace=True)]
Prompt = Annotated[str, StringConstraints(max_length=20_000)]
Key = Annotated[SecretStr, Field(min_length=8, max_length=500)]
Handled = Annotated[ReplyHandler, BeforeValidator(_spelt)]
PROMPTS = ("manual_prompt", "knowledge_source", "product_service", "question_answer")


Model = Annotated[str, StringConstraints(max_length=200, pattern=r"^[^:\s]+:\S+$")]


class ConfigChange(BaseModel):
    """What is to change; what is left out stays as it is. Null (in a form: empty) takes a value back to its default."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {"auto_response_enabled": True, "temperature": 0.3, "manual_prompt": "Be brief."}
        },
    )

    model: Annotated[Model | None, BeforeValidator(_blank_is_null)] = Field(
        default=None, description="As provider:model; null for the installation's own."
    )
    temperature: Annotated[
        Annotated[float, Field(ge=0, le=2, allow_inf_nan=False)] | None, BeforeValidator(_blank_is_null)
    ] = None
    max_tokens: Annotated[Annotated[int, Field(ge=1, le=100_000)] | None, BeforeValidator(_blank_is_null)] = None
    auto_response_enabled: bool = True
    default_reply_handler: Handled = "AI"
    quiet_seconds: float = Field(default=1.5, ge=0, le=60, allow_inf_nan=False)
    confidence_threshold: float = Field(default=0.5, ge=0, le=1, allow_inf_nan=False)
    answer_within_seconds: int = Field(
        default=900, ge=30, le=604_800, description="A customer who waits longer is shown to people."
    )
    handover_text: Spoken = Field(default="", description="Said when the AI hands over without words of its own.")
    unavailable_text: Spoken = Field(default="", description="Said when no answer can be made; a person gets it then.")
    out_of_hours_text: Silent = Field(default="", description="Empty: nothing is said, people are told all the same.")
    disclosure_text: Silent = Field(default="", description="Stands before the AI's first message.")
    business_hours: Annotated[BusinessHours | None, BeforeValidator(_from_text)] = Field(
        default=None, description="Null: always open."
    )
    manual_prompt: Prompt = Field(default="", description="What the AI is told to do and not to do.")
    knowledge_source: Prompt = Field(default="", description="About the company and its policies.")
    product_service: Prompt = Field(default="", description="What it offers.")
    question_answer: Prompt = Field(default="", description="Common questions with their answers.")
    provider_keys: Annotated[dict[str, Key | None], Field(max_length=20), BeforeValidator(_from_text)] = Field(
        default={}, description="Your own key by provider, null to take it away; never shown again."
    )

    def given(self) -> dict[str, Any]:
        """What the request names, by the names of its fields."""
        return {name: getattr(self, name) for name in self.model_fields_set}


class KeySet(BaseModel):
    """That there is a key of the workspace's own."""

    set_at: datetime


class Config(BaseModel):
    """The config in force."""

    success: Literal[True] = True
    workspace: int
    model: str | None
    model_in_use: str = Field(
        description="The one that answers: the agent's, else this config's, else the installation's."
    )
    temperature: float | None
    max_tokens: int | None
    auto_response_enabled: bool
    default_reply_handler: ReplyHandler
    ai_available: bool = Field(description="Whether new conversations may start with the AI.")
    quiet_seconds: float
    confidence_threshold: float
    answer_within_seconds: int
    handover_text: str
    unavailable_text: str
    out_of_hours_text: str
    disclosure_text: str
    business_hours: BusinessHours | None
    open_now: bool
    opens_at: datetime | None = Field(description="When it opens next; null while it is open.")
    manual_prompt: str
    knowledge_source: str
    product_service: str
    question_answer: str
    prompt_version: int = Field(description="Grows with every change of a prompt; 0 before the first.")
    provider_keys: dict[str, KeySet]


class PromptVersion(BaseModel):
    """The four prompts as they once were."""

    version: int
    manual_prompt: str
    knowledge_source: str
    product_service: str
    question_answer: str
    created_by: str
    created_at: datetime


class PromptVersions(BaseModel):
    """A page of versions, newest first."""

    success: Literal[True] = True
    versions: list[PromptVersion]
    count: int
    next_cursor: str | None


class HandlerChange(BaseModel):
    """Who gets new conversations."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"default_reply_handler": "AI"}})

    default_reply_handler: Handled


class DefaultHandler(BaseModel):
    """Who gets new conversations: as set, and as it turns out."""

    success: Literal[True] = True
    default_reply_handler: ReplyHandler
    new_conversations: Literal["active", "support_active"] = Field(
        description="The status they start with: `support_active` also where the AI is the default but cannot answer."
    )
