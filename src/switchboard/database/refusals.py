"""What the database says no with, as an error of the house; the same for both transports."""

from switchboard.errors import DatabaseUnreachable, Misconfigured, SwitchboardError, from_sqlstate

_LACKING = {
    "42P01": "table",
    "42703": "column",
    "42883": "function",
    "PGRST202": "function",
    "PGRST204": "column",
    "PGRST205": "table",
}
"""PostgreSQL Appendix A and https://docs.postgrest.org/en/stable/references/errors.html: what the schema lacks."""


class NotMigrated(Misconfigured):
    """The database and this program are of different versions: run `switchboard migrate`."""


def refused(state: str, message: str, *, constraint: str | None = None) -> SwitchboardError:
    """The error for a statement the database refused.

    ``state``: a SQLSTATE, or a code of PostgREST's own; see `switchboard.errors.from_sqlstate` for what callers see.
    """
    if state in _LACKING:
        return NotMigrated(f"The database lacks a {_LACKING[state]} this program uses: run `switchboard migrate`.")
    return from_sqlstate(state, message, constraint=constraint)


def unreachable(state: str | None) -> SwitchboardError:
    """The error for a connection that could not be made; ``state`` is the SQLSTATE, if the server got to say one.

    A server that is down, starting or full is `DatabaseUnreachable`; one that will never let us in is `Misconfigured`.
    """
    match state:
        case "28P01" | "28000":
            return Misconfigured("DATABASE_URL: the database does not accept this user and password.")
        case "3D000":
            return Misconfigured("DATABASE_URL: there is no database of this name.")
        case "22023" | "42704":
            return NotMigrated("The database has no role service_role: run `switchboard migrate`.")
        case "42501":
            return Misconfigured("DATABASE_URL: this user may not act as service_role: migrate as this user.")
        case "08P01":
            return Misconfigured("DATABASE_URL seems to lead to a pooler: set DATABASE_POOLER=true.")
        case _:
            return DatabaseUnreachable()
