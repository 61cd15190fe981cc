"""Tokens this installation signs itself."""

import json
from datetime import timedelta

import jwt
import pytest

from auth.supabase_auth import assemble, hs256
from switchboard.auth import local_secret, make_token
from switchboard.auth.local_tokens import LocalTokens
from switchboard.errors import Invalid, Misconfigured, Unauthenticated

SECRET = b"0123456789abcdef" * 4


@pytest.fixture
def tokens(clock):
    return LocalTokens(SECRET, clock)


@pytest.fixture
def make(clock):
    def make(secret=SECRET, **values):
        usual = {"role": "support", "workspace_id": 7, "subject": "ann", "ttl": timedelta(hours=1), "now": clock()}
        return make_token(secret, **(usual | values))

    return make


def test_a_token_brings_its_role_and_workspace(tokens, make):
    caller = tokens.caller(make())
    assert (caller.subject, caller.admin, dict(caller.roles)) == ("ann", False, {7: "support"})


def test_an_admin_token_is_for_the_whole_installation(tokens, make):
    caller = tokens.caller(make(role="admin", workspace_id=None))
    assert (caller.subject, caller.admin, dict(caller.roles)) == ("ann", True, {})


def test_it_ends(tokens, make, clock):
    token = make()
    clock.forward(hours=1, seconds=29)
    assert tokens.caller(token)
    clock.forward(seconds=1)
    with pytest.raises(Unauthenticated):
        tokens.caller(token)


@pytest.mark.parametrize(
    "values",
    [
        {"role": "admin"},
        {"workspace_id": None},
        {"subject": ""},
        {"subject": "ann" * 67},
        {"subject": "ann\n"},
        {"ttl": timedelta(0)},
    ],
    ids=str,
)
def test_what_does_not_go_together_is_not_made(make, values):
    with pytest.raises(Invalid):
        make(**values)


def claims(clock, **changes):
    now = int(clock().timestamp())
    usual = {"iss": "switchboard", "aud": "switchboard", "sub": "ann", "exp": now + 60, "role": "owner", "workspace": 7}
    return {name: value for name, value in (usual | changes).items() if value is not ...}


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "other"},
        {"iss": ...},
        {"aud": "authenticated"},
        {"aud": ...},
        {"sub": ...},
        {"exp": ...},
        {"exp": 1},
        {"role": "admin"},
        {"role": "root"},
        {"role": ["owner"]},
        {"role": ...},
        {"workspace": ...},
        {"workspace": "7"},
        {"workspace": True},
        {"workspace": 7.5},
    ],
    ids=str,
)
def test_signed_but_wrong(tokens, clock, changes):
    assert tokens.caller(jwt.encode(claims(clock), SECRET, "HS256"))
    with pytest.raises(Unauthenticated):
        tokens.caller(jwt.encode(claims(clock, **changes), SECRET, "HS256"))


def test_forgeries(tokens, make, clock, ec_key):
    head, _, _ = make().rpartition(".")
    for token in (
        make(b"another secret of thirty-two bytes or more"),
        f"{head}.AAAA",
        assemble({"alg": "none"}, claims(clock, role="admin", workspace=...), lambda _: b"x"),
        assemble({"alg": "HS256"}, claims(clock), hs256(b"")),
        jwt.encode(claims(clock), SECRET, "HS384"),
        jwt.encode(claims(clock), ec_key, "ES256"),
    ):
        with pytest.raises(Unauthenticated):
            tokens.caller(token)


async def test_without_supabase_local_tokens_are_the_way_in(away, open_auth, make, settings):
    auth = open_auth(away, jwt_secret=SECRET.decode())
    assert (await auth.identify(f"Bearer {make()}")).roles == {7: "support"}


async def test_the_secret_made_on_first_start_signs_them(away, open_auth, make, settings):
    auth = open_auth(away)
    token = make(local_secret(settings()))
    assert (await auth.identify(f"Bearer {token}")).subject == "ann"


async def test_with_supabase_they_hold_only_when_a_secret_is_set(postgres, open_auth, supabase, make, settings):
    values = {"supabase_url": supabase.url, "supabase_jwt_secret": "l" * 40}
    alone, both = open_auth(postgres, **values), open_auth(postgres, **values, jwt_secret=SECRET.decode())
    with pytest.raises(Unauthenticated):
        await alone.identify(f"Bearer {make()}")
    assert not (settings().data_dir / "token.secret").exists()
    assert (await both.identify(f"Bearer {make()}")).subject == "ann"
    assert (await both.identify(f"Bearer {jwt.encode(supabase.claims(), 'l' * 40, 'HS256')}")).roles == {}
    assert (await both.identify(f"Bearer {supabase.token()}")).roles == {}


async def test_one_secret_does_not_speak_for_the_other(away, open_auth, supabase, make, clock):
    both = open_auth(away, supabase_url=supabase.url, supabase_jwt_secret="l" * 40, jwt_secret=SECRET.decode())
    for token in (
        make(b"l" * 40, role="admin", workspace_id=None),
        jwt.encode(supabase.claims(), SECRET, "HS256"),
        jwt.encode(claims(clock, iss="switchboard"), "l" * 40, "HS256"),
    ):
        with pytest.raises(Unauthenticated):
            await both.identify(f"Bearer {token}")


@pytest.mark.parametrize(
    "secret", [b"hunter2", json.dumps({"kty": "oct", "k": "x" * 40}).encode()], ids=["short", "jwk"]
)
def test_a_secret_that_cannot_be_one_is_named(clock, secret):
    with pytest.raises(Misconfigured, match="JWT_SECRET") as refused:
        LocalTokens(secret, clock)
    assert secret.decode() not in str(refused.value)
