"""Whatever stands in the Authorization header, what does not hold is refused, and in the same words."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from auth.supabase_auth import encode_part
from switchboard.auth.bearer import MAX_TOKEN_BYTES, read_bearer, refusal
from switchboard.errors import Unauthenticated

anything = st.one_of(st.text(), st.binary().map(lambda raw: raw.decode("latin-1")))
members = st.sampled_from(["alg", "kid", "typ", "crit", "jwk", "jku", "b64", "iss", "aud", "exp", "sub", "role"])
algorithms = st.sampled_from(["ES256", "HS256", "RS256", "none"])
values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), algorithms),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(members, inner, max_size=3),
    max_leaves=6,
)
parts = st.one_of(
    st.binary(max_size=200).map(encode_part),
    st.dictionaries(members, values, max_size=6).map(lambda claims: encode_part(json.dumps(claims).encode())),
    st.text(max_size=50),
)
headers = st.one_of(
    anything,
    anything.map("Bearer {}".format),
    anything.map("Bearer sbk_{}".format),
    st.from_regex(r"Bearer sbk_[0-9a-f]{7,9}_[0-9a-fA-F]{63,65}\s?", fullmatch=True),
    st.lists(parts, min_size=1, max_size=5).map(lambda them: "Bearer " + ".".join(them)),
    st.integers(0, 3 * MAX_TOKEN_BYTES).map(lambda size: "Bearer " + "A" * size),
)


@settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(headers)
async def test_garbage_is_unauthenticated_and_nothing_else(postgres, supabase, open_auth, header):
    auth = open_auth(postgres, supabase_url=supabase.url, supabase_jwt_secret="s" * 40, jwt_secret="j" * 40)
    with pytest.raises(Unauthenticated):
        await auth.identify(header)


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer ", "Basic YTpi", "token", "Bearer a b", "Bearer a, b"])
def test_without_a_bearer_token_the_answer_says_what_to_send(header):
    with pytest.raises(Unauthenticated, match="send `Authorization: Bearer <token>`"):
        read_bearer(header)


@pytest.mark.parametrize("header", ["Bearer abc", "bearer abc", "BEARER  abc", " Bearer abc\t"])
def test_the_scheme_is_written_as_one_likes(header):
    assert read_bearer(header) == "abc"


def test_a_token_may_have_8_kib_and_no_more():
    assert read_bearer("Bearer " + "a" * MAX_TOKEN_BYTES)
    with pytest.raises(Unauthenticated):
        read_bearer("Bearer " + "a" * (MAX_TOKEN_BYTES + 1))


async def test_a_huge_token_is_refused_before_it_is_parsed(postgres, supabase, open_auth):
    auth = open_auth(postgres, supabase_url=supabase.url)
    with pytest.raises(Unauthenticated):
        await auth.identify("Bearer " + supabase.token(padding="x" * MAX_TOKEN_BYTES))
    assert supabase.hits == 0


async def test_every_refusal_reads_the_same(postgres, supabase, open_auth):
    auth = open_auth(postgres, supabase_url=supabase.url, jwt_secret="j" * 40)
    wrong = [
        "x",
        "a.b.c",
        "sbk_x",
        "sbk_00000000_" + "0" * 64,
        supabase.token(exp=1),
        supabase.token(role="anon"),
        supabase.token()[:-4] + "AAAA",
        supabase.token(headers={"jku": "https://example.com"}),
    ]
    for token in wrong:
        with pytest.raises(Unauthenticated) as refused:
            await auth.identify(f"Bearer {token}")
        assert refused.value.message == refusal().message
