"""What the knowledge endpoints take and answer."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from switchboard.knowledge.readers import Kind

State = Literal["waiting", "indexing", "ready", "failed"]
Title = Annotated[str, StringConstraints(min_length=1, max_length=300, strip_whitespace=True)]


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _not_blank(text: str) -> str:
    if not text.strip():
        raise ValueError("This text is blank")
    return text


class DocumentText(BaseModel):
    """A document whose text stands in the request; a file is sent as multipart/form-data, in the field `file`."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"example": {"title": "Opening hours", "content": "We are open from 9:00 to 18:00."}},
    )

    title: Annotated[Title, AfterValidator(_one_line)]
    content: Annotated[str, AfterValidator(_not_blank)] = Field(description="The text itself.")
    kind: Literal["text", "markdown", "html", "csv"] = Field(default="text", description="How the text is written.")
    language: Annotated[str, StringConstraints(min_length=1, max_length=60)] | None = Field(
        default=None, description="Such as english or german; without it the workspace's."
    )
    workspace: int | None = Field(default=None, ge=1, le=2**53, description="Needed where your token has several.")


class DocumentFields(BaseModel):
    """What may stand beside a file in multipart/form-data."""

    model_config = ConfigDict(extra="forbid")

    title: Annotated[Title, AfterValidator(_one_line)] | None = None
    kind: Kind | None = None
    language: Annotated[str, StringConstraints(min_length=1, max_length=60)] | None = None
    workspace: int | None = Field(default=None, ge=1, le=2**53)


class Question(BaseModel):
    """What would be found for it?"""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"query": "When are you open?"}})

    query: Annotated[str, StringConstraints(max_length=20_000), AfterValidator(_not_blank)]
    limit: int = Field(default=5, ge=1, le=50)
    workspace: int | None = Field(default=None, ge=1, le=2**53)


class Document(BaseModel):
    """A document and how far it is."""

    id: int
    workspace: int
    title: str
    kind: Kind
    file_name: str | None
    size: int = Field(description="Bytes.")
    language: str | None = Field(description="Null until it is indexed, where it has none of its own.")
    state: State = Field(description="Found once it is `ready`. A replaced one is found as it was until then.")
    error: str | None = Field(description="Why it is `failed`.")
    chunks: int = Field(description="Passages that are found.")
    embedding_model: str | None = Field(description="The model that finds it by meaning; null: by its words alone.")
    created_at: datetime
    updated_at: datetime
    indexed_at: datetime | None


class DocumentAnswer(BaseModel):
    """One document. ``changed`` is false where the same content was sent again."""

    success: Literal[True] = True
    document: Document
    changed: bool | None = None


class DocumentList(BaseModel):
    """A page of documents, newest first."""

    success: Literal[True] = True
    documents: list[Document]
    count: int
    next_cursor: str | None


class Found(BaseModel):
    """A passage."""

    chunk_id: int
    document_id: int
    title: str
    heading: str
    text: str
    score: float = Field(description="0 to 1: the greater of `words` and `similarity`.")
    words: float = Field(description="The share of the question's meaningful words that it holds.")
    similarity: float | None = Field(description="How near it is in meaning, where that is known.")


class FoundList(BaseModel):
    """Passages, best first: what a reply would be made from."""

    success: Literal[True] = True
    results: list[Found]
    count: int


class Unanswered(BaseModel):
    """A question that found nothing which answers it; the same words count together."""

    id: int
    workspace: int
    question: str
    times: int
    best_score: float = Field(description="The score of what came nearest.")
    first_asked_at: datetime
    last_asked_at: datetime
    conversation_id: int = Field(description="Where it was asked last.")


class UnansweredList(BaseModel):
    """A page of questions, last asked first."""

    success: Literal[True] = True
    questions: list[Unanswered]
    count: int
    next_cursor: str | None
