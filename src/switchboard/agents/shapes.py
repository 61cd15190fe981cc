"""What the agents' endpoints take and answer."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints


def _blank_is_null(value: Any) -> Any:
    """A form has no null: an empty field says so."""
    return None if value == "" else value


def _listed(value: Any) -> Any:
    """A form with one value has no list; an empty field is an empty one."""
    if value == "":
        return []
    return [value] if isinstance(value, str | int) else value


Name = Annotated[str, StringConstraints(min_length=1, max_length=200, strip_whitespace=True)]
Role = Annotated[str, StringConstraints(max_length=500, strip_whitespace=True)]
SystemPrompt = Annotated[str, StringConstraints(max_length=20_000)]
Model = Annotated[
    Annotated[str, StringConstraints(max_length=200, pattern=r"^[^:\s]+:\S+$")] | None, BeforeValidator(_blank_is_null)
]
Temperature = Annotated[
    Annotated[float, Field(ge=0, le=2, allow_inf_nan=False)] | None, BeforeValidator(_blank_is_null)
]
MaxTokens = Annotated[Annotated[int, Field(ge=1, le=100_000)] | None, BeforeValidator(_blank_is_null)]
Documents = Annotated[
    Annotated[list[Annotated[int, Field(ge=1, le=2**53)]], Field(max_length=1000)] | None, BeforeValidator(_listed)
]
Platforms = Annotated[
    list[Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,39}$")]],
    Field(max_length=50),
    BeforeValidator(_listed),
]


class AgentFields(BaseModel):
    """An agent's values; what is left out is as here."""

    model_config = ConfigDict(extra="forbid")

    name: Name
    role: Role = Field(default="", description="What it is for, in a few words; told to the model.")
    system_prompt: SystemPrompt = Field(default="", description="Its instructions.")
    model: Model = Field(default=None, description="As provider:model; null for the workspace's or the installation's.")
    temperature: Temperature = None
    max_tokens: MaxTokens = None
    knowledge_documents: Documents = Field(
        default=None, description="Ids of the only documents it answers from; null for all, an empty list for none."
    )
    is_public: bool = Field(default=False, description="Seen and used by all workspaces, its instructions included.")
    is_default: bool = Field(default=False, description="Whether it answers where nothing else is said.")
    channels: Platforms = Field(
        default=[], description="Platforms on which it goes before the default: facebook, instagram, telegram, web, …"
    )

    def given(self) -> dict[str, Any]:
        """What the request names, by the names of its fields."""
        return {name: getattr(self, name) for name in self.model_fields_set}


class NewAgent(AgentFields):
    """A new agent; ``workspace`` may be left out where the token has but one."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"example": {"name": "Bea", "role": "barista", "system_prompt": "Speak of coffee with joy."}},
    )

    workspace: int | None = Field(default=None, ge=1, le=2**53)


class WholeAgent(AgentFields):
    """The agent as it is to be. What it is the default of changes only where it is said."""

    def given(self) -> dict[str, Any]:
        """All values, except those of what it is the default of if the request does not name them."""
        kept = {"is_default", "channels"} - self.model_fields_set
        return {name: getattr(self, name) for name in AgentFields.model_fields if name not in kept}


class AgentChange(AgentFields):
    """What is to be different; what is left out stays as it is."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"system_prompt": "Be brief."}})

    name: Name = ""
    archived: bool = Field(default=False, description="True: answers no new conversations; false brings it back.")


class Agent(BaseModel):
    """An agent. Of a public one of another workspace you see neither its documents nor where it is a default."""

    id: int
    workspace_id: int
    name: str
    role: str
    system_prompt: str
    prompt_version: int = Field(description="Of its system prompt; each AI message names the one it was made with.")
    model: str | None
    temperature: float | None
    max_tokens: int | None
    knowledge_documents: list[int] | None
    is_public: bool
    is_default: bool
    channels: list[str]
    created_by: str | None
    created_at: datetime
    updated_at: datetime
    archived_at: datetime | None


class AgentList(BaseModel):
    """A page of agents, newest first."""

    success: Literal[True] = True
    agents: list[Agent]
    count: int
    next_cursor: str | None


class PromptVersion(BaseModel):
    """A system prompt as it was in force."""

    version: int
    system_prompt: str
    created_by: str
    created_at: datetime


class PromptVersionList(BaseModel):
    """A page of versions, newest first."""

    success: Literal[True] = True
    versions: list[PromptVersion]
    count: int
    next_cursor: str | None
