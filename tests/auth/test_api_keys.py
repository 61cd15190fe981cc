"""Keys for programs."""

import hashlib
from datetime import timedelta

import pytest

from switchboard.auth import make_api_key
from switchboard.errors import DatabaseUnavailable, Unauthenticated


@pytest.fixture
async def shop(postgres):
    [shop] = await postgres.insert("workspaces", [{"name": "Shop"}])
    return shop["id"]


@pytest.fixture
def make(postgres):
    async def make(workspace_id, role="viewer", expires_at=None):
        key, prefix, key_hash = make_api_key()
        made = await postgres.call(
            "create_api_key",
            caller={"subject": "root", "admin": True, "roles": {}},
            workspace_id=workspace_id,
            name="robot",
            role=role,
            prefix=prefix,
            key_hash=key_hash,
            expires_at=expires_at,
        )
        return key, made["id"]

    return make


@pytest.fixture
def auth(postgres, open_auth):
    return open_auth(postgres)


def test_a_key_is_random_and_its_prefix_and_hash_are_its_own():
    key, prefix, key_hash = make_api_key()
    kind, shown, secret = key.split("_")
    assert (kind, shown) == ("sbk", prefix)
    assert len(bytes.fromhex(secret)) * 8 >= 128
    assert key_hash == hashlib.sha256(key.encode()).hexdigest()
    assert secret not in key_hash
    assert len({make_api_key()[0] for _ in range(100)}) == 100


async def test_a_key_brings_the_role_of_its_row(auth, make, shop):
    key, made = await make(shop, "support")
    caller = await auth.identify(f"Bearer {key}")
    assert (caller.subject, caller.admin, dict(caller.roles)) == (f"api_key:{made}", False, {shop: "support"})


async def test_an_admin_key_is_for_the_whole_installation(auth, make):
    key, _ = await make(None, "admin")
    caller = await auth.identify(f"Bearer {key}")
    assert caller.admin
    assert caller.roles == {}


async def test_a_dump_of_the_table_does_not_authenticate(auth, make, shop, postgres):
    key, _ = await make(shop)
    [row] = await postgres.select("api_keys")
    assert key not in str(row)
    assert key.split("_")[2] not in str(row)
    for stolen in (
        row["key_hash"],
        f"sbk_{row['prefix']}_{row['key_hash']}",
        hashlib.sha256(row["key_hash"].encode()).hexdigest(),
        row["prefix"],
    ):
        with pytest.raises(Unauthenticated):
            await auth.identify(f"Bearer {stolen}")


async def test_only_the_whole_key_holds(auth, make, shop):
    key, _ = await make(shop)
    other, _ = await make(shop)
    for wrong in (
        key[:-1] + ("0" if key[-1] != "0" else "1"),
        key[:-1],
        key + "0",
        key.upper(),
        other[:13] + key[13:],
        make_api_key()[0],
    ):
        with pytest.raises(Unauthenticated):
            await auth.identify(f"Bearer {wrong}")
    assert await auth.identify(f"Bearer {key}")


async def test_what_has_not_the_shape_of_a_key_is_not_looked_up(route, open_auth):
    auth = open_auth(route)
    zeros = "sbk_00000000_"
    for wrong in ("sbk_", "sbk_x_y", zeros + "g" * 64, zeros + "0" * 63, "sbk_';drop", f"sbk_{'0' * 4000}"):
        with pytest.raises(Unauthenticated):
            await auth.identify(f"Bearer {wrong}")
    assert route.calls == []


async def test_a_found_key_is_looked_up_three_times_a_minute(route, open_auth, make, shop, clock):
    auth = open_auth(route)
    key, _ = await make(shop)
    for _ in range(10):
        await auth.identify(f"Bearer {key}")
    clock.forward(seconds=19)
    await auth.identify(f"Bearer {key}")
    assert len(route.calls) == 1
    clock.forward(seconds=1)
    await auth.identify(f"Bearer {key}")
    assert len(route.calls) == 2


async def test_a_revoked_key_is_gone_after_twenty_seconds(auth, make, shop, postgres, clock):
    key, made = await make(shop)
    await auth.identify(f"Bearer {key}")
    await postgres.update("api_keys", {"revoked_at": clock().isoformat()}, where={"id": made})
    clock.forward(seconds=20)
    with pytest.raises(Unauthenticated):
        await auth.identify(f"Bearer {key}")


async def test_a_key_ends_on_time_even_when_it_was_just_used(auth, make, shop, clock):
    key, _ = await make(shop, expires_at=(clock() + timedelta(seconds=10, milliseconds=500)).isoformat())
    clock.forward(seconds=10)
    assert await auth.identify(f"Bearer {key}")
    clock.forward(seconds=1)
    with pytest.raises(Unauthenticated):
        await auth.identify(f"Bearer {key}")


async def test_a_key_past_its_end_is_refused(auth, make, shop, clock):
    key, _ = await make(shop, expires_at=(clock() - timedelta(days=1)).isoformat())
    with pytest.raises(Unauthenticated):
        await auth.identify(f"Bearer {key}")


async def test_a_key_holds_as_soon_as_it_is_there(auth, postgres, shop):
    key, prefix, key_hash = make_api_key()
    with pytest.raises(Unauthenticated):
        await auth.identify(f"Bearer {key}")
    row = {"workspace_id": shop, "name": "robot", "role": "viewer", "prefix": prefix, "key_hash": key_hash}
    await postgres.insert("api_keys", [row])
    assert await auth.identify(f"Bearer {key}")


async def test_without_a_database_a_key_neither_holds_nor_is_refused(away, open_auth, make, shop):
    auth = open_auth(away)
    with pytest.raises(DatabaseUnavailable):
        await auth.identify(f"Bearer {make_api_key()[0]}")
