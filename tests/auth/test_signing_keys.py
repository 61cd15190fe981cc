"""How often Supabase is asked for its keys, and what happens when it does not answer."""

import asyncio
import json

import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import RSAAlgorithm
from structlog.testing import capture_logs

from switchboard.auth.signing_keys import read_keys
from switchboard.errors import Unauthenticated, Unavailable


@pytest.fixture
def auth(postgres, supabase, open_auth):
    return open_auth(postgres, supabase_url=supabase.url)


def new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


async def refused(auth, token: str, error=Unauthenticated) -> None:
    with pytest.raises(error):
        await auth.identify(f"Bearer {token}")


async def test_a_storm_of_unknown_ids_costs_one_fetch_a_minute(auth, supabase, clock):
    forged = new_key()
    await auth.identify(f"Bearer {supabase.token()}")
    assert supabase.hits == 1
    for minute in range(3):
        for number in range(20):
            await refused(auth, supabase.token(f"made-up-{number}", key=forged))
        await asyncio.gather(*(refused(auth, supabase.token(f"all-at-once-{n}", key=forged)) for n in range(20)))
        assert supabase.hits == 2 + minute
        clock.forward(seconds=60)


async def test_a_storm_before_the_first_fetch_shares_it(auth, supabase):
    forged = new_key()
    await asyncio.gather(*(refused(auth, supabase.token(f"made-up-{n}", key=forged)) for n in range(50)))
    assert supabase.hits == 1


async def test_callers_who_come_at_the_same_time_share_one_fetch(auth, supabase):
    supabase.gate.clear()
    token = supabase.token()
    callers = [asyncio.create_task(auth.identify(f"Bearer {token}")) for _ in range(50)]
    await supabase.reached.wait()
    callers[0].cancel()
    supabase.gate.set()
    answers = await asyncio.gather(*callers, return_exceptions=True)
    assert isinstance(answers[0], asyncio.CancelledError)
    assert {answer.subject for answer in answers[1:]} == {"8f1e1f6e-0000-4000-8000-000000000001"}
    assert supabase.hits == 1


async def test_a_new_key_is_found_at_once(auth, supabase):
    await auth.identify(f"Bearer {supabase.token()}")
    supabase.add("new", new_key())
    await asyncio.gather(*(auth.identify(f"Bearer {supabase.token('new')}") for _ in range(10)))
    assert supabase.hits == 2


async def test_a_removed_key_is_refused_after_ten_minutes_at_most(auth, supabase, clock):
    await auth.identify(f"Bearer {supabase.token('rsa')}")
    supabase.remove("rsa")
    clock.forward(minutes=9, seconds=59)
    await auth.identify(f"Bearer {supabase.token('rsa')}")
    clock.forward(seconds=1)
    await refused(auth, supabase.token("rsa"))
    await auth.identify(f"Bearer {supabase.token('ec')}")
    assert supabase.hits == 2


async def test_the_age_of_keys_counts_from_the_question(auth, supabase, clock):
    supabase.gate.clear()
    caller = asyncio.create_task(auth.identify(f"Bearer {supabase.token()}"))
    await supabase.reached.wait()
    clock.forward(minutes=9)
    supabase.gate.set()
    await caller
    clock.forward(minutes=1)
    await auth.identify(f"Bearer {supabase.token()}")
    assert supabase.hits == 2


async def test_keys_removed_from_the_list_are_gone_with_a_refetch_for_another(auth, supabase):
    await auth.identify(f"Bearer {supabase.token('rsa')}")
    supabase.remove("rsa")
    supabase.add("new", new_key())
    await auth.identify(f"Bearer {supabase.token('new')}")
    await refused(auth, supabase.token("rsa"))


async def test_without_any_key_the_answer_is_unavailable(auth, supabase):
    token = supabase.token()
    await supabase.stop()
    with capture_logs() as lines:
        await refused(auth, token, Unavailable)
    [line] = lines
    assert line["log_level"] == "warning"
    assert line["event"] == "signing_keys.fetch_failed"
    assert line["url"] == f"{supabase.issuer}/.well-known/jwks.json"
    assert not any(part in json.dumps(line) for part in token.split("."))


async def test_it_is_asked_again_after_a_failure(auth, supabase, clock):
    supabase.answer = lambda: web.Response(status=500)
    for _ in range(10):
        await refused(auth, supabase.token(), Unavailable)
    # The second of the two is the one fetch a minute for an id nobody knows.
    assert supabase.hits == 2
    supabase.answer = None
    clock.forward(seconds=5)
    assert await auth.identify(f"Bearer {supabase.token()}")


async def test_the_last_good_keys_serve_for_a_day(auth, supabase, clock):
    await auth.identify(f"Bearer {supabase.token()}")
    await supabase.stop()
    for _ in range(24 * 6 - 1):
        clock.forward(minutes=10)
        await auth.identify(f"Bearer {supabase.token()}")
        await refused(auth, supabase.token("rsa", exp=1))
    clock.forward(minutes=10)
    await refused(auth, supabase.token(), Unavailable)
    clock.forward(seconds=1)
    await refused(auth, supabase.token(), Unavailable)
    await supabase.start()
    clock.forward(minutes=1)
    assert await auth.identify(f"Bearer {supabase.token()}")


async def test_nobody_waits_for_a_server_that_hangs_who_has_good_keys(auth, supabase, clock):
    await auth.identify(f"Bearer {supabase.token()}")
    supabase.answer = lambda: web.Response(status=503)
    clock.forward(minutes=10)
    await auth.identify(f"Bearer {supabase.token()}")
    supabase.gate.clear()
    supabase.reached.clear()
    clock.forward(seconds=5)
    async with asyncio.timeout(2):  # less than the fetch may take
        await auth.identify(f"Bearer {supabase.token()}")
        await supabase.reached.wait()
        await auth.identify(f"Bearer {supabase.token()}")
    # The fetch that is under way brings the news as soon as it can.
    supabase.answer = None
    supabase.remove("rsa")
    supabase.add("new", new_key())
    caller = asyncio.create_task(auth.identify(f"Bearer {supabase.token('new')}"))
    supabase.gate.set()
    assert await caller
    await refused(auth, supabase.token("rsa"))


async def test_an_unknown_id_is_not_called_forged_while_the_server_is_down(auth, supabase):
    await auth.identify(f"Bearer {supabase.token()}")
    await supabase.stop()
    await refused(auth, supabase.token("new", key=new_key()), Unavailable)
    assert await auth.identify(f"Bearer {supabase.token()}")


async def test_a_failure_long_ago_does_not_keep_a_removed_key(auth, supabase, clock):
    await auth.identify(f"Bearer {supabase.token()}")
    supabase.answer = lambda: web.Response(status=500)
    await refused(auth, supabase.token("made-up", key=new_key()), Unavailable)
    supabase.answer = None
    supabase.remove("rsa")
    clock.forward(minutes=10)
    await refused(auth, supabase.token("rsa"))


async def test_a_clock_set_back_does_not_keep_old_keys_young(auth, supabase, clock):
    await auth.identify(f"Bearer {supabase.token()}")
    supabase.remove("ec")
    token = supabase.token("ec")
    clock.forward(days=-1)
    await refused(auth, token)
    assert supabase.hits == 2


BROKEN = {
    "an error": lambda: web.Response(status=500),
    "no JSON": lambda: web.Response(text="<html>"),
    "no object": lambda: web.json_response([]),
    "no list": lambda: web.json_response({"keys": {}}),
    "too much": lambda: web.Response(body=b'{"keys":[' + b" " * 70_000 + b"]}"),
    "a redirect": lambda: web.Response(status=302, headers={"Location": "/elsewhere"}),
}


@pytest.mark.parametrize("answer", BROKEN.values(), ids=BROKEN)
async def test_a_broken_answer_does_not_replace_good_keys(auth, supabase, clock, answer):
    await auth.identify(f"Bearer {supabase.token()}")
    supabase.answer = answer
    clock.forward(minutes=10)
    await auth.identify(f"Bearer {supabase.token()}")
    assert supabase.hits == 2


async def test_an_empty_list_takes_all_keys_away(auth, supabase, clock):
    await auth.identify(f"Bearer {supabase.token()}")
    supabase.answer = lambda: web.json_response({"keys": []})
    clock.forward(minutes=10)
    await refused(auth, supabase.token())


def test_a_key_is_used_only_with_the_algorithm_of_its_type(supabase, rsa_key):
    good = supabase.keys[0]
    weak = RSAAlgorithm.to_jwk(rsa.generate_private_key(65537, 1024).public_key(), as_dict=True)
    private = RSAAlgorithm.to_jwk(rsa_key, as_dict=True)
    unusable = [
        {"kty": "oct", "k": "c2VjcmV0", "kid": "shared", "alg": "HS256"},
        {**good, "kid": "as-hs256", "alg": "HS256"},
        {**good, "kid": "for-encryption", "use": "enc"},
        {**good, "kid": "for-signing", "key_ops": ["sign"]},
        {**good, "kid": "odd-operations", "key_ops": 5},
        {**good, "kid": "off-the-curve", "y": good["x"]},
        {**good, "kid": "damaged", "x": "é"},
        {**good, "kid": "another-curve", "crv": "P-384"},
        {**good, "kid": 5},
        {**weak, "kid": "weak"},
        {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo", "kid": "edwards"},
        {"kid": "nothing"},
        "text",
    ]
    usable = [{**private, "kid": "private", "key_ops": ["verify"]}, good]
    keys = read_keys(json.dumps({"keys": [*unusable, *usable]}).encode())
    assert {kid: key.algorithm for kid, key in keys.items()} == {"ec": "ES256", "private": "RS256"}
    assert not hasattr(keys["private"].material, "sign")
