"""Whoever sent the request, and what they may do where."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal, TypeGuard

from switchboard.errors import Forbidden, NotFound

Role = Literal["viewer", "support", "owner"]

_LADDER: tuple[Role, ...] = ("viewer", "support", "owner")


def is_role(value: object) -> TypeGuard[Role]:
    """Whether ``value`` is the name of a role in a workspace; `admin` is none."""
    return value in _LADDER


@dataclass(frozen=True, slots=True)
class Guest:
    """A visitor of a web page: the one conversation that their token opens."""

    workspace_id: int
    conversation_id: int


@dataclass(frozen=True, slots=True)
class Caller:
    """``subject``: a person's id, `api_key:<id>` or `guest:<conversation>`. ``admin``: of the whole installation.

    ``roles``: by workspace. ``guest`` is set for visitors, who have no role anywhere.
    """

    subject: str
    admin: bool
    roles: Mapping[int, Role]
    guest: Guest | None = None

    def __post_init__(self) -> None:
        # A caller may be kept and handed out again: nobody gets to write into it.
        object.__setattr__(self, "roles", MappingProxyType(dict(self.roles)))

    def as_json(self) -> dict[str, Any]:
        """What SQL functions take as ``caller``: ``{"subject": …, "admin": …, "roles": {"1": "owner"}}``.

        A guest's has ``"guest": {"workspace": 1, "conversation": 7}`` besides.
        """
        told: dict[str, Any] = {
            "subject": self.subject,
            "admin": self.admin,
            "roles": {str(workspace_id): role for workspace_id, role in self.roles.items()},
        }
        if self.guest is not None:
            told["guest"] = {"workspace": self.guest.workspace_id, "conversation": self.guest.conversation_id}
        return told

    def allows(self, workspace_id: int, minimum: Role) -> bool:
        """Whether the caller holds at least the role ``minimum`` in the workspace; an admin always does."""
        if self.admin:
            return True
        held = self.roles.get(workspace_id)
        return held is not None and _LADDER.index(held) >= _LADDER.index(minimum)


def require(caller: Caller, workspace_id: int, minimum: Role) -> None:
    """Lets a caller with at least the role ``minimum`` pass.

    Raises `NotFound` when the workspace is not among the caller's, so that nobody learns that it exists, and
    `Forbidden` when it is and the role is too low.
    """
    if caller.allows(workspace_id, minimum):
        return
    if workspace_id not in caller.roles:
        raise NotFound("There is no such workspace.")
    raise Forbidden(f"This needs the role {minimum}.")
