"""`switchboard upkeep`: the periodic tasks, when each was done, and having one done now."""

from typing import Annotated

import typer

from switchboard.tables import show

app = typer.Typer(
    name="upkeep", help="The periodic tasks: when they were done, and having one done now.", no_args_is_help=True
)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for a program instead of a table.")]


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """Show all tasks: when each is due, when it was done last, and what came of it."""
    from switchboard import upkeep_work

    columns = {
        "name": "Task",
        "schedule": "When",
        "ended_at": "Last run",
        "outcome": "Outcome",
        "told": "Result",
        "due_at": "Next run",
    }
    show(upkeep_work.run(None, upkeep_work.tasks), columns, name="tasks", as_json=as_json)


@app.command()
def run(name: Annotated[str, typer.Argument(help="As `list` names it.")], as_json: AsJson = False) -> None:
    """Do a task now, whenever it is due; exits with 1 if it fails, with 2 if another process is at it."""
    from switchboard import upkeep_work

    done = upkeep_work.run(None, lambda board: upkeep_work.do(board, name))
    row = {"name": name, "outcome": done.outcome, "told": done.error or done.result, "result": done.result}
    columns = {"name": "Task", "outcome": "Outcome", "told": "Result"}
    show([{**row, "error": done.error}], columns, name="tasks", as_json=as_json)
    raise typer.Exit(0 if done.outcome == "done" else 1)
