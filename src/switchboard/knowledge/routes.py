"""The knowledge endpoints: documents in, replaced, listed and out; what would be found; and what found nothing."""

from typing import Annotated, Any, cast

from fastapi import APIRouter, Depends, Path, Query, Request, Response

from switchboard.bell import Bell
from switchboard.database.paging import next_place, read_place
from switchboard.dependencies import Asking, Data, which_workspace
from switchboard.errors import Conflict, Invalid, Malformed, NotFound, TooLarge
from switchboard.http.problems import REFUSALS, refusals
from switchboard.http.strict_json import StrictRoute
from switchboard.knowledge.put import wrap
from switchboard.knowledge.retrieve import Knowledge
from switchboard.knowledge.shapes import (
    DocumentAnswer,
    DocumentList,
    FoundList,
    Question,
    State,
    UnansweredList,
)
from switchboard.knowledge.upload import DESCRIBED, Upload, Uploaded

router = APIRouter(prefix="/api/knowledge", tags=["knowledge"], route_class=StrictRoute, responses=REFUSALS)

Id = Annotated[int, Path(ge=1, le=2**53, description="The id, as lists give it.")]
Limit = Annotated[int, Query(ge=1, le=200, description="How many at most.")]
Cursor = Annotated[str | None, Query(max_length=500, description="`next_cursor` of the page before.")]
Workspace = Annotated[int | None, Query(ge=1, le=2**53, description="Only this one; without it all of yours.")]


async def _knowledge_bell(request: Request) -> Bell:
    return cast(Bell, request.state.knowledge_bell)


async def _lookup(request: Request) -> Knowledge:
    return cast(Knowledge, request.state.knowledge)


KnowledgeBell = Annotated[Bell, Depends(_knowledge_bell)]
Lookup = Annotated[Knowledge, Depends(_lookup)]


@router.get("")
async def list_documents(
    caller: Asking,
    database: Data,
    limit: Limit = 50,
    cursor: Cursor = None,
    workspace: Workspace = None,
    state: Annotated[State | None, Query(description="Only those that are so.")] = None,
) -> DocumentList:
    """Documents, newest first, with their state and, for those that failed, the reason."""
    rows = await database.call(
        "list_documents",
        caller=caller.as_json(),
        workspace_id=workspace,
        state=state,
        after=read_place(cursor),
        max_rows=limit,
    )
    return DocumentList(documents=rows, count=len(rows), next_cursor=next_place(rows, limit))


@router.post("", status_code=201, openapi_extra=DESCRIBED, responses=refusals(Malformed, Conflict, TooLarge, Invalid))
async def add_document(
    caller: Asking, database: Data, bell: KnowledgeBell, response: Response, given: Upload
) -> DocumentAnswer:
    """Adds a document, which is found as soon as its state is `ready`; 409 where its title is taken."""
    row = await database.call(
        "put_document",
        caller=caller.as_json(),
        workspace_id=await which_workspace(database, caller, given.workspace),
        title=given.title,
        **_content(given),
    )
    bell.ring()
    response.headers["location"] = f"/api/knowledge/{row['id']}"
    return _answer(row)


@router.post("/search")
async def search(caller: Asking, database: Data, lookup: Lookup, body: Question) -> FoundList:
    """What would be found for a question, as a reply would find it."""
    workspace = await which_workspace(database, caller, body.workspace)
    rows = await lookup.show(caller.as_json(), workspace, body.query, body.limit)
    return FoundList.model_validate({"results": rows, "count": len(rows)})


@router.get("/unanswered")
async def list_unanswered(
    caller: Asking, database: Data, limit: Limit = 50, cursor: Cursor = None, workspace: Workspace = None
) -> UnansweredList:
    """What customers asked and found nothing that answers it, last asked first: what to write down next."""
    rows = await database.call(
        "unanswered_questions",
        caller=caller.as_json(),
        workspace_id=workspace,
        after=read_place(cursor),
        max_rows=limit,
    )
    return UnansweredList(questions=rows, count=len(rows), next_cursor=next_place(rows, limit))


@router.get("/{document_id}")
async def get_document(caller: Asking, database: Data, document_id: Id) -> DocumentAnswer:
    """One document."""
    row = await database.call("get_document", caller=caller.as_json(), document_id=document_id)
    if row is None:
        raise NotFound("There is no such document.")
    return _answer(row)


@router.put("/{document_id}", openapi_extra=DESCRIBED, responses=refusals(Malformed, Conflict, TooLarge, Invalid))
async def replace_document(
    caller: Asking, database: Data, bell: KnowledgeBell, document_id: Id, given: Upload
) -> DocumentAnswer:
    """Gives a document a new content, and the title that is sent. What it said is found until the new is ready."""
    row = await database.call(
        "replace_document",
        caller=caller.as_json(),
        document_id=document_id,
        title=given.title,
        **_content(given),
    )
    bell.ring()
    return _answer(row)


@router.delete("/{document_id}", status_code=204)
async def delete_document(caller: Asking, database: Data, document_id: Id) -> None:
    """Deletes a document, its source, its passages and their vectors."""
    await database.call("delete_document", caller=caller.as_json(), document_id=document_id)


def _content(given: Uploaded) -> dict[str, Any]:
    return {"kind": given.kind, "file_name": given.file_name, "language": given.language, **wrap(given.body)}


def _answer(row: dict[str, Any]) -> DocumentAnswer:
    return DocumentAnswer.model_validate({"document": row, "changed": row.get("changed")})
