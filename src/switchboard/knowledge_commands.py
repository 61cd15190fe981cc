"""`switchboard knowledge`: documents in and out, and what would be found, from the command line."""

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from switchboard.errors import Invalid, Misconfigured, NotFound
from switchboard.settings import Settings, load

app = typer.Typer(name="knowledge", help="What the AI may answer from.", no_args_is_help=True)

Workspace = Annotated[int | None, typer.Option(help="Which workspace; the first one if not given.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for a program instead of a table.")]
Result = TypeVar("Result")
_HERE: dict[str, Any] = {"subject": "cli", "admin": True, "roles": {}}


@dataclass(frozen=True, slots=True)
class _Open:
    """What the commands work with."""

    settings: Settings
    database: Any
    workspace_id: int


@app.command()
def add(
    files: Annotated[
        list[Path], typer.Argument(help="TXT, Markdown, HTML, PDF, DOCX or CSV.", exists=True, dir_okay=False)
    ],
    workspace: Workspace = None,
    title: Annotated[str | None, typer.Option(help="Of one file; its name without the ending if not given.")] = None,
    language: Annotated[
        str | None, typer.Option(help="Such as english or german; if not given, the workspace's.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Add documents and index them; a title that is there already is replaced. Exits with 1 if one cannot be read."""
    if title and len(files) > 1:
        raise Invalid("A title can be given to one file only.")
    rows = _run(workspace, lambda opened: _add(opened, files, title, language))
    _show(rows, as_json)
    raise typer.Exit(1 if any(row["state"] == "failed" for row in rows) else 0)


@app.command("list")
def list_(workspace: Workspace = None, as_json: AsJson = False) -> None:
    """Show all documents, newest first, and what is wrong with those that failed."""
    _show(_run(workspace, _list), as_json)


@app.command()
def remove(documents: Annotated[list[str], typer.Argument(help="Ids or titles.")], workspace: Workspace = None) -> None:
    """Delete documents with everything made of them."""
    for title in _run(workspace, lambda opened: _remove(opened, documents)):
        typer.echo(f"removed {title}")


@app.command()
def search(
    question: Annotated[str, typer.Argument(help="As a customer would ask.")],
    workspace: Workspace = None,
    limit: Annotated[int, typer.Option(min=1, max=50, help="How many passages at most.")] = 5,
    as_json: AsJson = False,
) -> None:
    """Show the passages that a reply to a question would be made from, best first; exits with 1 if there are none."""
    rows = _run(workspace, lambda opened: _search(opened, question, limit))
    if as_json:
        typer.echo(json.dumps(rows, ensure_ascii=False, indent=2))
    for row in () if as_json else rows:
        typer.echo(f"{row['score']:.2f}  {' › '.join(filter(None, [row['title'], row['heading']]))}")
        typer.echo("      " + row["text"].replace("\n", "\n      "))
    raise typer.Exit(0 if rows else 1)


async def _add(opened: _Open, files: list[Path], title: str | None, language: str | None) -> list[dict[str, Any]]:
    from switchboard.knowledge.index import Indexing
    from switchboard.knowledge.put import wrap
    from switchboard.knowledge.readers import Unreadable, kind_of
    from switchboard.providers.embeddings import open_embeddings

    ids: list[int] = []
    for file in files:
        body = await asyncio.to_thread(file.read_bytes)
        if len(body) > opened.settings.max_body_bytes:
            raise Invalid(f"{file} is larger than {opened.settings.max_body_bytes} bytes (MAX_BODY_BYTES).")
        try:
            kind = kind_of(file.name, body)
        except Unreadable as error:
            raise Invalid(f"{file}: {error}") from None
        row = await opened.database.call(
            "put_document",
            caller=_HERE,
            workspace_id=opened.workspace_id,
            title=title or " ".join(file.stem.split())[:300],
            kind=kind,
            file_name=file.name[-200:],
            language=language,
            replace=True,
            **wrap(body),
        )
        ids.append(row["id"])
    embeddings = open_embeddings(opened.settings)
    try:
        await Indexing(opened.database, embeddings).work()
    finally:
        if embeddings is not None:
            await embeddings.close()
    # A running service may have been faster and still be at it.
    async with asyncio.timeout(120):
        while True:
            rows = [await opened.database.call("get_document", caller=_HERE, document_id=one) for one in ids]
            if not any(row and row["state"] in {"waiting", "indexing"} for row in rows):
                return [row for row in rows if row]
            await asyncio.sleep(0.2)


async def _list(opened: _Open) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    after: int | None = None
    while page := await opened.database.call(
        "list_documents", caller=_HERE, workspace_id=opened.workspace_id, after=after, max_rows=200
    ):
        found += page
        after = page[-1]["id"]
    return found


async def _remove(opened: _Open, documents: list[str]) -> list[str]:
    known = await _list(opened)
    meant: list[dict[str, Any]] = []
    for named in documents:
        match = [row for row in known if named in (str(row["id"]), row["title"])]
        if not match:
            raise NotFound(f"There is no document {named!r}: `switchboard knowledge list` shows what there is.")
        meant += match
    for row in meant:
        await opened.database.call("delete_document", caller=_HERE, document_id=row["id"])
    return [str(row["title"]) for row in meant]


async def _search(opened: _Open, question: str, limit: int) -> list[dict[str, Any]]:
    from switchboard.knowledge.retrieve import Knowledge
    from switchboard.providers.embeddings import open_embeddings

    embeddings = open_embeddings(opened.settings)
    try:
        return await Knowledge(opened.database, embeddings).show(_HERE, opened.workspace_id, question, limit)
    finally:
        if embeddings is not None:
            await embeddings.close()


def _run(workspace: int | None, work: Callable[[_Open], Awaitable[Result]]) -> Result:
    async def run() -> Result:
        async with _opened(workspace) as opened:
            return await work(opened)

    return asyncio.run(run())


@asynccontextmanager
async def _opened(workspace: int | None) -> AsyncGenerator[_Open]:
    from switchboard.databases import open_databases
    from switchboard.logs import configure

    settings = load()
    configure("error", settings.log_format)
    async with AsyncExitStack() as stack:
        database, _ = await open_databases(settings, stack)
        if workspace is None:
            rows = await database.select("workspaces", columns=["id"], order=["id"], limit=1)
            if not rows:
                raise Misconfigured("There is no workspace yet: start the service once.")
            workspace = int(rows[0]["id"])
        yield _Open(settings, database, workspace)


def _show(rows: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(rows, ensure_ascii=False, indent=2))
        return
    for row in rows:
        state = f"{row['chunks']} passages" if row["state"] == "ready" else row["error"] or ""
        typer.echo(f"{row['id']:>6}  {row['state']:<8}  {row['kind']:<8}  {row['title']}  {state}".rstrip())
