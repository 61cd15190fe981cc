"""A document in a request: a file as multipart/form-data, or its text as JSON (and so as a form)."""

from dataclasses import dataclass
from typing import Annotated, Any, Final, cast

from fastapi import Depends, Request
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException

from switchboard.errors import Invalid, Malformed
from switchboard.http.strict_json import has_nul, read_json
from switchboard.knowledge.readers import Kind, Unreadable, kind_of
from switchboard.knowledge.shapes import DocumentFields, DocumentText


@dataclass(frozen=True, slots=True)
class Uploaded:
    """A document as it came."""

    title: str
    kind: Kind
    body: bytes
    file_name: str | None
    language: str | None
    workspace: int | None


async def _read(request: Request) -> Uploaded:
    """Raises `Malformed` for a body of another form, `Invalid` and FastAPI's own error for wrong fields."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        return await _read_file(request)
    if not (kind == "application/json" or kind.endswith("+json")):
        raise Malformed(
            "Send a file as multipart/form-data, or a text as JSON with `Content-Type: application/json`, or as a form."
        )
    try:
        given = DocumentText.model_validate(read_json(await request.body()))
    except ValidationError as error:
        raise RequestValidationError(error.errors()) from None
    return Uploaded(given.title, given.kind, given.content.encode(), None, given.language, given.workspace)


async def _read_file(request: Request) -> Uploaded:
    try:
        async with request.form(max_files=1, max_fields=20) as form:
            fields: dict[str, Any] = {name: value for name, value in form.multi_items() if name != "file"}
            file = form.get("file")
            if not isinstance(file, UploadFile):
                raise _wrong("file", "Send the document in a field of this name")
            body, name = await file.read(), _name(file.filename)
    except MultiPartException as error:
        raise Malformed(f"The multipart form cannot be read: {error.message}") from None
    except (KeyError, UnicodeDecodeError, LookupError):
        raise Malformed("The multipart form cannot be read: say its boundary, and write its texts in UTF-8.") from None
    if has_nul(fields):
        raise Invalid("A field holds a NUL character, which cannot be stored: leave it out.")
    try:
        given = DocumentFields.model_validate({name: value for name, value in fields.items() if value != ""})
    except ValidationError as error:
        raise RequestValidationError(error.errors()) from None
    if not body:
        raise _wrong("file", "This file is empty")
    try:
        kind = given.kind or kind_of(name, body)
    except Unreadable as error:
        raise _wrong("file", str(error)) from None
    title = given.title or " ".join((name or "").rpartition(".")[0].split() or [name or ""])[:300]
    if not title:
        raise _wrong("title", "Give it a title: the file has no name")
    return Uploaded(title, kind, body, name, given.language, given.workspace)


def _name(given: str | None) -> str | None:
    """The last part of a file's name, as a line of text: it is shown, and never used to open anything."""
    name = "".join(letter if letter.isprintable() else " " for letter in (given or ""))
    return name.replace("\\", "/").rpartition("/")[2].strip()[-200:] or None


def _wrong(field: str, message: str) -> Invalid:
    return Invalid(errors=[{"field": field, "message": message}])


Upload = Annotated[Uploaded, Depends(_read)]
"""The document in the body of the request."""


def _described() -> dict[str, Any]:
    schemas = {
        "application/json": DocumentText.model_json_schema(),
        "application/x-www-form-urlencoded": DocumentText.model_json_schema(),
    }
    fields = DocumentFields.model_json_schema()
    file = {"type": "string", "format": "binary", "description": "TXT, Markdown, HTML, PDF, DOCX or CSV."}
    properties = {"file": file, **cast(dict[str, Any], fields["properties"])}
    schemas["multipart/form-data"] = {"type": "object", "required": ["file"], "properties": properties}
    content = {name: {"schema": schema} for name, schema in schemas.items()}
    return {"requestBody": {"required": True, "content": content}}


DESCRIBED: Final = _described()
"""The body, for the OpenAPI description of a route that takes an `Upload`."""
