"""Tokens of Supabase Auth: which ones hold, and everything that has been tried against verifiers of JWTs."""

import json
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from auth.supabase_auth import SupabaseAuth, assemble, encode_part, hs256
from switchboard.errors import Misconfigured, Unauthenticated

SECRET = "super-secret-jwt-token-with-at-least-32-characters-long"
ANN = "8f1e1f6e-0000-4000-8000-000000000001"


@pytest.fixture
def auth(postgres, supabase, open_auth):
    return open_auth(postgres, supabase_url=supabase.url)


@pytest.fixture
def guarded(away, supabase, open_auth):
    """Without a database: what is refused is refused before anybody is looked up."""
    return open_auth(away, supabase_url=supabase.url)


@pytest.fixture
def legacy(postgres, supabase, open_auth):
    return open_auth(postgres, supabase_url=supabase.url, supabase_jwt_secret=SECRET)


def legacy_token(supabase: SupabaseAuth, secret: str = SECRET, **changes) -> str:
    return jwt.encode(supabase.claims(**changes), secret, "HS256")


@pytest.mark.parametrize("kid", ["ec", "rsa"])
async def test_a_token_signed_with_a_listed_key_holds(auth, supabase, kid):
    caller = await auth.identify(f"Bearer {supabase.token(kid)}")
    assert (caller.subject, caller.admin, dict(caller.roles)) == (ANN, False, {})
    await auth.identify(f"Bearer {supabase.token(kid)}")
    assert supabase.hits == 1


async def test_a_legacy_token_holds_when_its_secret_is_set(legacy, auth, supabase):
    assert (await legacy.identify(f"Bearer {legacy_token(supabase)}")).subject == ANN
    assert (await legacy.identify(f"Bearer {supabase.token()}")).subject == ANN
    with pytest.raises(Unauthenticated):
        await auth.identify(f"Bearer {legacy_token(supabase)}")


async def test_admin_comes_from_what_the_server_writes_alone(auth, supabase):
    async def admin(**metadata):
        return (await auth.identify(f"Bearer {supabase.token(**metadata)}")).admin

    assert await admin(app_metadata={"switchboard_role": "admin"})
    assert not await admin(user_metadata={"switchboard_role": "admin"})
    assert not await admin(user_metadata={"app_metadata": {"switchboard_role": "admin"}}, switchboard_role="admin")
    assert not await admin(app_metadata={"switchboard_role": ["admin"]})
    assert not await admin(app_metadata="admin")


async def test_an_audience_may_stand_in_a_list(auth, supabase):
    assert await auth.identify(f"Bearer {supabase.token(aud=['authenticated', 'other'])}")


async def test_clocks_may_be_thirty_seconds_apart(auth, supabase, clock):
    now = int(clock().timestamp())
    assert await auth.identify(f"Bearer {supabase.token(exp=now - 29)}")
    assert await auth.identify(f"Bearer {supabase.token(nbf=now + 30, iat=now + 30)}")
    for late in ({"exp": now - 30}, {"nbf": now + 31}, {"iat": now + 31}):
        with pytest.raises(Unauthenticated):
            await auth.identify(f"Bearer {supabase.token(**late)}")


async def test_a_token_ends_when_its_time_is_over(auth, supabase, clock):
    token = supabase.token()
    assert await auth.identify(f"Bearer {token}")
    clock.forward(hours=1, seconds=30)
    with pytest.raises(Unauthenticated):
        await auth.identify(f"Bearer {token}")


WRONG_CLAIMS = {
    "another issuer": {"iss": "https://evil.example/auth/v1"},
    "an issuer that begins like ours": {"iss": "http://127.0.0.1"},
    "no issuer": {"iss": ...},
    "issuers in a list": {"iss": ["x"]},
    "another audience": {"aud": "anon"},
    "no audience": {"aud": ...},
    "an empty audience": {"aud": []},
    "an audience that is no text": {"aud": [{"authenticated": True}]},
    "the secret key of the project": {"role": "service_role"},
    "the public key of the project": {"role": "anon"},
    "another database role": {"role": "supabase_admin"},
    "no role": {"role": ...},
    "roles in a list": {"role": ["authenticated"]},
    "another application's token": {"client_id": "9a8b7c6d-5e4f-3a2b-1c0d-9e8f7a6b5c4d"},
    "no subject": {"sub": ...},
    "an empty subject": {"sub": ""},
    "a subject that is no text": {"sub": 1},
    "a subject with NUL": {"sub": "ann\0"},
    "a subject too long": {"sub": "a" * 201},
    "no end": {"exp": ...},
    "null as the end": {"exp": None},
    "an end that is text": {"exp": "99999999999"},
    "an end that is true": {"exp": True},
    "an end that is no number": {"exp": float("nan")},
    "an end that never comes": {"exp": float("inf")},
    "a beginning that is text": {"nbf": "0"},
    "a beginning that is true": {"nbf": True},
}


@pytest.mark.parametrize("changes", WRONG_CLAIMS.values(), ids=WRONG_CLAIMS)
async def test_signed_but_not_for_us(guarded, supabase, changes):
    with pytest.raises(Unauthenticated):
        await guarded.identify(f"Bearer {supabase.token(**changes)}")


WRONG_HEADERS = {
    "jku": {"jku": "https://evil.example/jwks.json"},
    "x5u": {"x5u": "https://evil.example/cert.pem"},
    "jwk": {"jwk": {"kty": "EC"}},
    "x5c": {"x5c": ["MIIB"]},
    "crit": {"crit": ["exp"], "exp": 1},
    "an empty crit": {"crit": []},
    "crit with a detached payload": {"crit": ["b64"], "b64": True},
    "another type": {"typ": "dpop+jwt"},
}


@pytest.mark.parametrize("headers", WRONG_HEADERS.values(), ids=WRONG_HEADERS)
async def test_a_header_may_not_say_how_it_is_to_be_checked(guarded, supabase, headers):
    with pytest.raises(Unauthenticated):
        await guarded.identify(f"Bearer {supabase.token(headers=headers)}")
    assert supabase.hits == 0


def _headed(header: dict[str, Any]) -> Callable[[SupabaseAuth], str]:
    return lambda supabase: assemble(header, supabase.claims(), lambda _: b"x")


def _public(supabase: SupabaseAuth, kid: str, encoding: Encoding, form: PublicFormat) -> bytes:
    return supabase.private[kid].public_key().public_bytes(encoding, form)


def _confused(kid: str, claimed: str, encoding: Encoding, form: PublicFormat = PublicFormat.SubjectPublicKeyInfo):
    def make(supabase: SupabaseAuth) -> str:
        header = {"alg": claimed, "kid": kid, "typ": "JWT"}
        return assemble(header, supabase.claims(), hs256(_public(supabase, kid, encoding, form)))

    return make


def _with_listed_jwk(supabase: SupabaseAuth) -> str:
    jwk = json.dumps(supabase.keys[0]).encode()
    return assemble({"alg": "HS256", "kid": "ec", "typ": "JWT"}, supabase.claims(), hs256(jwk))


def _tampered(supabase: SupabaseAuth) -> str:
    header, _, signature = supabase.token().split(".")
    claims = supabase.claims(app_metadata={"switchboard_role": "admin"})
    return f"{header}.{encode_part(claims)}.{signature}"


def _signature_of(change: Callable[[str], str]) -> Callable[[SupabaseAuth], str]:
    def make(supabase: SupabaseAuth) -> str:
        head, _, signature = supabase.token().rpartition(".")
        return f"{head}.{change(signature)}"

    return make


def _other_key(kid: str) -> Callable[[SupabaseAuth], str]:
    return lambda supabase: supabase.token(kid, key=ec.generate_private_key(ec.SECP256R1()))


def _without_kid(supabase: SupabaseAuth) -> str:
    return jwt.encode(supabase.claims(), supabase.private["ec"], "ES256")


def _another_curve(supabase: SupabaseAuth) -> str:
    key = ec.generate_private_key(ec.SECP384R1())
    return jwt.encode(supabase.claims(), key, "ES384", headers={"kid": "ec"})


def _longer_hash(supabase: SupabaseAuth) -> str:
    return jwt.encode(supabase.claims(), supabase.private["rsa"], "RS512", headers={"kid": "rsa"})


FORGERIES: dict[str, Callable[[SupabaseAuth], str]] = {
    "alg none": _headed({"alg": "none", "kid": "ec", "typ": "JWT"}),
    "alg None": _headed({"alg": "None", "kid": "ec", "typ": "JWT"}),
    "alg NONE": _headed({"alg": "NONE", "kid": "ec", "typ": "JWT"}),
    "no alg": _headed({"kid": "ec"}),
    "an alg that is no text": _headed({"alg": ["ES256"], "kid": "ec"}),
    "no signature": lambda supabase: supabase.token().rpartition(".")[0] + ".",
    "two parts": lambda supabase: supabase.token().rpartition(".")[0],
    "four parts": lambda supabase: supabase.token() + ".x",
    "padded": lambda supabase: supabase.token() + "==",
    "HS256 with the EC key as PEM": _confused("ec", "HS256", Encoding.PEM),
    "HS256 with the EC key as DER": _confused("ec", "HS256", Encoding.DER),
    "HS256 with the EC point": _confused("ec", "HS256", Encoding.X962, PublicFormat.UncompressedPoint),
    "HS256 with the RSA key as PEM": _confused("rsa", "HS256", Encoding.PEM),
    "HS256 with the RSA key as DER": _confused("rsa", "HS256", Encoding.DER),
    "HS256 with the listed JWK": _with_listed_jwk,
    "HS256 with nothing": lambda supabase: assemble({"alg": "HS256", "kid": "ec"}, supabase.claims(), hs256(b"")),
    "ES256 with an HMAC of the key": _confused("ec", "ES256", Encoding.PEM),
    "RS256 with an HMAC of the key": _confused("rsa", "RS256", Encoding.PEM),
    "RS256 with the id of the EC key": lambda supabase: supabase.token("ec", key=supabase.private["rsa"]),
    "ES256 with the id of the RSA key": lambda supabase: supabase.token("rsa", key=supabase.private["ec"]),
    "another key under our id": _other_key("ec"),
    "another curve": _another_curve,
    "another hash": _longer_hash,
    "no id": _without_kid,
    "an id that is no text": _headed({"alg": "ES256", "kid": ["ec"]}),
    "an id that is null": _headed({"alg": "ES256", "kid": None}),
    "other claims under the same signature": _tampered,
    "the last bit of the signature": _signature_of(lambda text: text[:-1] + ("A" if text[-1] != "A" else "Q")),
    "a shorter signature": _signature_of(lambda text: text[:-4]),
    "the signature twice": _signature_of(lambda text: text * 2),
    "an ECDSA signature of zeros": _signature_of(lambda _: encode_part(bytes(64))),
    "an empty object": lambda _: assemble({}, {}, lambda _: b"x"),
    "arrays": lambda _: assemble([], [], lambda _: b"x"),
    "deep nesting": lambda _: assemble(b"[" * 3000, b"{}", lambda _: b"x"),
}


@pytest.mark.parametrize("forge", FORGERIES.values(), ids=FORGERIES)
async def test_forgeries(away, open_auth, guarded, supabase, forge):
    legacy = open_auth(away, supabase_url=supabase.url, supabase_jwt_secret=SECRET)
    token = forge(supabase)
    for door in (guarded, legacy):
        with pytest.raises(Unauthenticated):
            await door.identify(f"Bearer {token}")


@pytest.mark.parametrize(
    "header", [{"alg": "ES512"}, {"alg": "HS256"}, {"alg": "none"}, {"alg": "ES256", "kid": ""}], ids=str
)
async def test_what_no_key_can_have_signed_costs_no_fetch(guarded, supabase, header):
    with pytest.raises(Unauthenticated):
        await guarded.identify(f"Bearer {assemble({'kid': 'new'} | header, supabase.claims(), lambda _: b'x')}")
    assert supabase.hits == 0


async def test_every_changed_character_is_noticed(guarded, supabase):
    token = supabase.token()
    for place in range(0, len(token), 7):
        other = "A" if token[place] != "A" else "B"
        with pytest.raises(Unauthenticated):
            await guarded.identify(f"Bearer {token[:place]}{other}{token[place + 1 :]}")


@pytest.mark.parametrize(
    "changes",
    [{"role": "service_role"}, {"role": "anon"}, {"iss": "supabase"}, {"aud": "other"}, {"exp": 1}],
    ids=lambda changes: str(changes),
)
async def test_a_legacy_token_is_checked_like_any_other(legacy, supabase, changes):
    with pytest.raises(Unauthenticated):
        await legacy.identify(f"Bearer {legacy_token(supabase, **changes)}")


async def test_the_legacy_secret_signs_hs256_and_nothing_else(legacy, supabase):
    claims = supabase.claims()
    for token in (
        legacy_token(supabase, "x" * 40),
        jwt.encode(claims, SECRET + "0" * 32, "HS512"),
        assemble({"alg": "ES256", "kid": "ec", "typ": "JWT"}, claims, hs256(SECRET.encode())),
        assemble({"alg": "RS256", "kid": "rsa", "typ": "JWT"}, claims, hs256(SECRET.encode())),
    ):
        with pytest.raises(Unauthenticated):
            await legacy.identify(f"Bearer {token}")


@pytest.mark.parametrize(
    ("secret", "words"),
    [
        ("hunter2", "shorter than 32 bytes"),
        ("-----BEGIN PUBLIC KEY-----\nMFkw\n-----END PUBLIC KEY-----", "not a public key"),
    ],
    ids=["short", "public key"],
)
async def test_a_legacy_secret_that_cannot_be_one_is_named_at_start(away, supabase, open_auth, secret, words):
    with pytest.raises(Misconfigured, match=f"SUPABASE_JWT_SECRET .*{words}") as refused:
        open_auth(away, supabase_url=supabase.url, supabase_jwt_secret=secret)
    assert secret not in str(refused.value)
