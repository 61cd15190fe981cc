from dataclasses import FrozenInstanceError

import pytest

from switchboard.auth import Caller, make_api_key, require
from switchboard.errors import Forbidden, NotFound

SUPPORT = Caller("ann", admin=False, roles={7: "support"})


def test_a_role_allows_itself_and_what_is_below_it():
    assert SUPPORT.allows(7, "viewer")
    assert SUPPORT.allows(7, "support")
    assert not SUPPORT.allows(7, "owner")


def test_a_role_counts_in_its_own_workspace_only():
    assert not SUPPORT.allows(8, "viewer")


def test_an_admin_may_do_everything_everywhere():
    assert Caller("root", admin=True, roles={}).allows(12345, "owner")


def test_require_hides_what_is_not_yours_and_refuses_what_is_too_high():
    require(SUPPORT, 7, "support")
    with pytest.raises(Forbidden, match="owner"):
        require(SUPPORT, 7, "owner")
    with pytest.raises(NotFound):
        require(SUPPORT, 8, "viewer")


def test_a_caller_cannot_be_written_to():
    roles = {7: "viewer"}
    caller = Caller("ann", admin=False, roles=roles)
    roles[7] = "owner"
    assert caller.roles == {7: "viewer"}
    with pytest.raises(TypeError):
        caller.roles[7] = "owner"
    with pytest.raises(FrozenInstanceError):
        caller.admin = True


async def test_sql_functions_understand_a_caller(postgres):
    assert SUPPORT.as_json() == {"subject": "ann", "admin": False, "roles": {"7": "support"}}
    [shop] = await postgres.insert("workspaces", [{"name": "Shop"}])

    async def make_key(caller):
        _, prefix, key_hash = make_api_key()
        return await postgres.call(
            "create_api_key",
            caller=caller.as_json(),
            workspace_id=shop["id"],
            name="robot",
            role="viewer",
            prefix=prefix,
            key_hash=key_hash,
        )

    assert (await make_key(Caller("ann", admin=False, roles={shop["id"]: "owner"})))["role"] == "viewer"
    assert (await make_key(Caller("root", admin=True, roles={})))["role"] == "viewer"
    with pytest.raises(Forbidden):
        await make_key(Caller("ann", admin=False, roles={shop["id"]: "support"}))
    with pytest.raises(NotFound):
        await make_key(Caller("ann", admin=False, roles={}))
