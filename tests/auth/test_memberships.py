"""What a person signed in through Supabase may do: asked of the database, remembered for half a minute at most."""

import asyncio

import pytest

from switchboard.auth.remembered import Remembered
from switchboard.errors import DatabaseUnavailable

ANN = "8f1e1f6e-0000-4000-8000-000000000001"


@pytest.fixture
async def shop(postgres):
    [shop] = await postgres.insert("workspaces", [{"name": "Shop"}])
    return shop["id"]


@pytest.fixture
async def member(postgres, shop):
    await postgres.insert("members", [{"workspace_id": shop, "user_id": ANN, "role": "support"}])


@pytest.mark.usefixtures("member")
async def test_roles_come_from_the_members_table(postgres, open_auth, supabase, shop):
    [bakery] = await postgres.insert("workspaces", [{"name": "Bakery"}])
    await postgres.insert("members", [{"workspace_id": bakery["id"], "user_id": ANN, "role": "owner"}])
    await postgres.insert("members", [{"workspace_id": bakery["id"], "user_id": "someone else", "role": "viewer"}])
    caller = await open_auth(postgres, supabase_url=supabase.url).identify(f"Bearer {supabase.token()}")
    assert caller.roles == {shop: "support", bakery["id"]: "owner"}


@pytest.mark.usefixtures("member")
async def test_a_token_cannot_bring_roles_of_its_own(postgres, open_auth, supabase, shop):
    auth = open_auth(postgres, supabase_url=supabase.url)
    token = supabase.token(roles={str(shop): "owner"}, workspace=shop, user_metadata={"roles": {str(shop): "owner"}})
    assert (await auth.identify(f"Bearer {token}")).roles == {shop: "support"}


@pytest.mark.usefixtures("member")
async def test_revocation_acts_within_thirty_seconds(route, postgres, open_auth, supabase, shop, clock):
    auth = open_auth(route, supabase_url=supabase.url)
    await auth.identify(f"Bearer {supabase.token()}")
    await postgres.delete("members", where={"workspace_id": shop, "user_id": ANN})
    clock.forward(seconds=19)
    assert (await auth.identify(f"Bearer {supabase.token()}")).roles == {shop: "support"}
    assert len(route.calls) == 1
    clock.forward(seconds=1)
    assert (await auth.identify(f"Bearer {supabase.token()}")).roles == {}


async def test_a_new_member_waits_five_seconds_at_most(postgres, open_auth, supabase, shop, clock):
    auth = open_auth(postgres, supabase_url=supabase.url)
    assert (await auth.identify(f"Bearer {supabase.token()}")).roles == {}
    await postgres.insert("members", [{"workspace_id": shop, "user_id": ANN, "role": "viewer"}])
    clock.forward(seconds=5)
    assert (await auth.identify(f"Bearer {supabase.token()}")).roles == {shop: "viewer"}


@pytest.mark.usefixtures("member")
async def test_requests_at_the_same_time_share_one_look_up(route, open_auth, supabase, shop):
    auth = open_auth(route, supabase_url=supabase.url)
    callers = await asyncio.gather(*(auth.identify(f"Bearer {supabase.token()}") for _ in range(30)))
    assert all(caller.roles == {shop: "support"} for caller in callers)
    assert route.calls == ["find_memberships"]


@pytest.mark.usefixtures("member")
async def test_without_a_database_nobody_gets_in_on_old_roles(route, postgres, away, open_auth, supabase, shop, clock):
    auth = open_auth(route, supabase_url=supabase.url)
    await auth.identify(f"Bearer {supabase.token()}")
    route.database = away
    clock.forward(seconds=19)
    assert (await auth.identify(f"Bearer {supabase.token()}")).roles == {shop: "support"}
    clock.forward(seconds=1)
    with pytest.raises(DatabaseUnavailable):
        await auth.identify(f"Bearer {supabase.token()}")
    with pytest.raises(DatabaseUnavailable):
        await auth.identify(f"Bearer {supabase.token(sub='someone else')}")
    route.database = postgres
    assert (await auth.identify(f"Bearer {supabase.token()}")).roles == {shop: "support"}


class Asked:
    """Answers a question with how often it was asked, once `go` is set."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.reached = asyncio.Event()
        self.go = asyncio.Event()
        self.go.set()
        self.error: Exception | None = None

    async def __call__(self, name: str) -> int:
        self.names.append(name)
        self.reached.set()
        await self.go.wait()
        if self.error:
            raise self.error
        return len(self.names)


@pytest.fixture
def asked():
    return Asked()


async def test_only_so_much_is_remembered(asked, clock, ten_seconds):
    remembered = Remembered(asked, keep=ten_seconds, clock=clock, most=2)
    for name in ("a", "b", "a", "c", "a", "b"):
        await remembered.get(name)
    assert asked.names == ["a", "b", "c", "b"]


async def test_an_answer_is_as_old_as_its_question(asked, clock, ten_seconds):
    remembered = Remembered(asked, keep=ten_seconds, clock=clock)
    asked.go.clear()
    first = asyncio.create_task(remembered.get("a"))
    await asked.reached.wait()
    clock.forward(seconds=9)
    asked.go.set()
    assert await first == 1
    assert await remembered.get("a") == 1
    clock.forward(seconds=1)
    assert await remembered.get("a") == 2


async def test_a_clock_set_back_makes_no_answer_young(asked, clock, ten_seconds):
    remembered = Remembered(asked, keep=ten_seconds, clock=clock)
    assert await remembered.get("a") == 1
    clock.forward(hours=-1)
    assert await remembered.get("a") == 2


async def test_errors_go_to_everybody_who_waits_and_are_not_kept(asked, clock, ten_seconds):
    remembered = Remembered(asked, keep=ten_seconds, clock=clock)
    asked.error = DatabaseUnavailable()
    answers = await asyncio.gather(*(remembered.get("a") for _ in range(3)), return_exceptions=True)
    assert [type(answer) for answer in answers] == [DatabaseUnavailable] * 3
    asked.error = None
    assert await remembered.get("a") == 2


async def test_who_hangs_up_takes_the_answer_from_nobody(asked, clock, ten_seconds):
    remembered = Remembered(asked, keep=ten_seconds, clock=clock)
    asked.go.clear()
    first, second = (asyncio.create_task(remembered.get("a")) for _ in range(2))
    await asked.reached.wait()
    first.cancel()
    asked.go.set()
    assert await second == 1


async def test_closing_gives_up_what_is_asked(asked, clock, ten_seconds):
    remembered = Remembered(asked, keep=ten_seconds, clock=clock)
    asked.go.clear()
    waiting = asyncio.create_task(remembered.get("a"))
    await asked.reached.wait()
    await remembered.close()
    with pytest.raises(asyncio.CancelledError):
        await waiting
