"""`switchboard ai`: switching the AI on and off, and seeing what it does, for one workspace or all."""

from typing import Annotated, Any, Literal

import typer

from switchboard.tables import show

app = typer.Typer(name="ai", help="Switch the AI on and off, and see what it does.", no_args_is_help=True)

Workspace = Annotated[
    str | None, typer.Option("--workspace", "--user", help="Its name or id; all workspaces if not given.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for a program instead of a table.")]

_STATUSES = ("active", "support_active", "resolved", "closed", "archived")


@app.command()
def enable(workspace: Workspace = None, as_json: AsJson = False) -> None:
    """Let the AI answer. Conversations stay with whoever has them; the AI answers what comes in its own from now on."""
    from switchboard import ai_work

    _show_switched(ai_work.run(workspace, lambda board: ai_work.switch(board, on=True)), as_json)


@app.command()
def disable(workspace: Workspace = None, as_json: AsJson = False) -> None:
    """Stop the AI. Conversations stay with whoever has them; what comes in the AI's is flagged for people."""
    from switchboard import ai_work

    _show_switched(ai_work.run(workspace, lambda board: ai_work.switch(board, on=False)), as_json)


@app.command()
def status(workspace: Workspace = None, as_json: AsJson = False) -> None:
    """Show whether the AI answers, with which model, and who has the conversations."""
    from switchboard import ai_work

    columns = {
        "workspace": "Workspace",
        "ai": "AI",
        "able": "Has a provider",
        "new_conversations": "New conversations",
        "model": "Model",
        "open_now": "Open",
        "active": "With the AI",
        "support_active": "With people",
        "requires_human": "Need a person",
    }
    show(ai_work.run(workspace, ai_work.overview), columns, name="workspaces", as_json=as_json)


@app.command("test")
def ask(workspace: Workspace = None, as_json: AsJson = False) -> None:
    """Ask models and channels whether they work, with a tiny real call each; exits with 1 if one does not.

    For one workspace: its own model, with its own key if it has one.
    """
    from switchboard import ai_work

    rows = ai_work.run(workspace, lambda board: ai_work.findings(board, everything=workspace is None))
    columns = {"kind": "What", "name": "Name", "state": "State", "latency_ms": "ms", "detail": "It says"}
    show(rows, columns, name="checks", as_json=as_json)
    raise typer.Exit(1 if any(row["state"] == "wrong" for row in rows) else 0)


@app.command()
def validate(workspace: Workspace = None, as_json: AsJson = False) -> None:
    """Look for what cannot work in the configs, calling nobody; exits with 1 if something is wrong."""
    from switchboard import ai_work

    rows = ai_work.run(workspace, ai_work.problems)
    columns = {"workspace": "Workspace", "state": "State", "field": "Field", "message": "What to know"}
    show(rows, columns, name="workspaces", as_json=as_json)
    raise typer.Exit(1 if any(row["state"] == "wrong" for row in rows) else 0)


@app.command()
def sync(workspace: Workspace = None, as_json: AsJson = False) -> None:
    """Compare conversations with their messages and mend what differs, now instead of within half an hour."""
    from switchboard import ai_work

    rows = ai_work.run(workspace, ai_work.sync)
    columns = {"workspace": "Workspace", "looked": "Conversations", "mended": "Mended"}
    show(rows, columns, name="workspaces", as_json=as_json)


@app.command()
def conversations(workspace: Workspace = None, as_json: AsJson = False) -> None:
    """Show how many conversations have which status."""
    from switchboard import ai_work

    columns = {"workspace": "Workspace", **{name: name for name in _STATUSES}}
    rows = ai_work.run(workspace, ai_work.breakdown)
    show(rows, {**columns, "total": "total", "requires_human": "need a person"}, name="workspaces", as_json=as_json)


def _show_switched(rows: list[dict[str, Any]], as_json: bool) -> None:
    columns = {
        "workspace": "Workspace",
        "ai": "AI",
        "changed": "Changed",
        "new_conversations": "New conversations",
        "active": "With the AI",
        "support_active": "With people",
    }
    show(rows, columns, name="workspaces", as_json=as_json)
    if as_json or not rows:
        return
    for line in _meaning("on" if rows[0]["ai"] == "on" else "off", rows):
        typer.echo(line)


def _meaning(ai: Literal["on", "off"], rows: list[dict[str, Any]]) -> list[str]:
    if ai == "off":
        return ["Conversations stay with whoever has them. What customers write in the AI's is flagged for people."]
    lines = ["Conversations stay with whoever has them. The AI answers what comes in its own from now on."]
    unable = [row["workspace"] for row in rows if not row["able"]]
    if unable:
        lines.append(f"No provider for its model, so people get new conversations: {', '.join(unable)}.")
    manual = [row["workspace"] for row in rows if row["able"] and row["new_conversations"] != "active"]
    if manual:
        lines.append(f"People get new conversations, because default_reply_handler is Manual: {', '.join(manual)}.")
    return lines
