"""`/api/agents`: who answers, and how."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Response

from switchboard.agents.shapes import (
    Agent,
    AgentChange,
    AgentFields,
    AgentList,
    NewAgent,
    PromptVersionList,
    WholeAgent,
)
from switchboard.agents.usable import check_model
from switchboard.auth import require
from switchboard.database import Row
from switchboard.database.paging import next_place, read_place
from switchboard.dependencies import Asking, Data, Models, which_workspace
from switchboard.errors import Conflict, Forbidden, NotFound
from switchboard.http.problems import REFUSALS, refusals
from switchboard.http.strict_json import StrictRoute

router = APIRouter(prefix="/api/agents", tags=["agents"], route_class=StrictRoute, responses=REFUSALS)

Id = Annotated[int, Path(ge=1, le=2**53, description="The id, as lists give it.")]
Limit = Annotated[int, Query(ge=1, le=200, description="How many at most.")]
Cursor = Annotated[str | None, Query(max_length=500, description="`next_cursor` of the page before.")]


@router.get("")
async def list_agents(
    caller: Asking,
    database: Data,
    limit: Limit = 50,
    cursor: Cursor = None,
    workspace: Annotated[int | None, Query(ge=1, le=2**53, description="Only those of this one.")] = None,
    archived: Annotated[bool, Query(description="The archived ones of your workspaces.")] = False,
) -> AgentList:
    """The agents of your workspaces and the public ones, newest first."""
    rows = await database.call(
        "list_agents",
        caller=caller.as_json(),
        workspace_id=workspace,
        archived=archived,
        after=read_place(cursor),
        max_rows=limit,
    )
    return AgentList(agents=rows, count=len(rows), next_cursor=next_place(rows, limit))


@router.post("", status_code=201, responses=refusals(Conflict))
async def create_agent(caller: Asking, database: Data, providers: Models, response: Response, body: NewAgent) -> Agent:
    """Makes an agent. For owners of the workspace."""
    workspace = await which_workspace(database, caller, body.workspace)
    require(caller, workspace, "owner")
    changes = body.given()
    changes.pop("workspace", None)
    channels = changes.pop("channels", None)
    await check_model(database, providers, workspace, body.model, public=body.is_public)
    row = await database.call(
        "create_agent",
        caller=caller.as_json(),
        workspace_id=workspace,
        changes=changes,
        channels=channels,
        providers=sorted(providers.by_name),
    )
    response.headers["location"] = f"/api/agents/{row['id']}"
    return Agent.model_validate(row)


@router.get("/{agent_id}")
async def get_agent(caller: Asking, database: Data, agent_id: Id) -> Agent:
    """One agent."""
    return Agent.model_validate(await _found(caller, database, agent_id))


@router.put("/{agent_id}", responses=refusals(Conflict))
async def replace_agent(caller: Asking, database: Data, providers: Models, agent_id: Id, body: WholeAgent) -> Agent:
    """Replaces an agent's values. For owners of its workspace."""
    return await _change(caller, database, providers, agent_id, body)


@router.patch("/{agent_id}", responses=refusals(Conflict))
async def change_agent(caller: Asking, database: Data, providers: Models, agent_id: Id, body: AgentChange) -> Agent:
    """Changes what is sent; another system prompt is a new version of it. For owners of its workspace."""
    return await _change(caller, database, providers, agent_id, body)


@router.delete(
    "/{agent_id}",
    response_model=Agent,
    responses={204: {"description": "It is gone."}, 200: {"description": "It is in use and archived now."}},
)
async def delete_agent(caller: Asking, database: Data, providers: Models, agent_id: Id) -> Agent | Response:
    """Deletes an agent (204). One that conversations have, or that is a default, is archived (200, with the agent)."""
    row = await database.call(
        "delete_agent", caller=caller.as_json(), agent_id=agent_id, providers=sorted(providers.by_name)
    )
    return Response(status_code=204) if row is None else Agent.model_validate(row)


@router.get("/{agent_id}/prompts")
async def list_prompts(
    caller: Asking, database: Data, agent_id: Id, limit: Limit = 50, cursor: Cursor = None
) -> PromptVersionList:
    """Every system prompt that the agent has had, who wrote it and when. For members of its workspace."""
    rows = await database.call(
        "list_agent_prompts",
        caller=caller.as_json(),
        agent_id=agent_id,
        before_version=read_place(cursor),
        max_rows=limit,
    )
    return PromptVersionList(versions=rows, count=len(rows), next_cursor=next_place(rows, limit, "version"))


async def _found(caller: Asking, database: Data, agent_id: int) -> Row:
    row: Row | None = await database.call("get_agent", caller=caller.as_json(), agent_id=agent_id)
    if row is None:
        raise NotFound("There is no such agent.")
    return row


async def _change(caller: Asking, database: Data, providers: Models, agent_id: int, body: AgentFields) -> Agent:
    before = await _found(caller, database, agent_id)
    if not caller.allows(before["workspace_id"], "owner"):
        # It may be a public one, of a workspace that is not the caller's: they know that it is there.
        raise Forbidden("This needs the role owner in the agent's workspace.")
    changes: dict[str, Any] = body.given()
    channels = changes.pop("channels", None)
    if changes.keys() & {"model", "is_public"}:
        after = before | changes
        await check_model(database, providers, before["workspace_id"], after["model"], public=after["is_public"])
    row = await database.call(
        "change_agent",
        caller=caller.as_json(),
        agent_id=agent_id,
        changes=changes,
        channels=channels,
        providers=sorted(providers.by_name),
    )
    return Agent.model_validate(row)
