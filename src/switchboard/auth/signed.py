"""What every JWT is checked for, whoever signed it. Nothing in here trusts the token to say how it is to be checked."""

import math
import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, TypeGuard

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt.algorithms import HMACAlgorithm

from switchboard.auth.bearer import refusal
from switchboard.errors import Misconfigured

Algorithm = Literal["ES256", "HS256", "RS256"]

LEEWAY_SECONDS = 30
"""How far clocks may be apart."""

_SHAPE = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
_HEADER_MEMBERS = frozenset({"alg", "kid", "typ"})


@dataclass(frozen=True, slots=True)
class Key:
    """A key together with the one algorithm it is used with.

    The pair is what closes the door on algorithm confusion: `jwt.decode` gets this algorithm, never the token's, and a
    raw key, because a `PyJWK` made the list of algorithms ineffective (CVE-2026-48523, PyJWT 2.9.0 to 2.12.1).
    """

    algorithm: Algorithm
    material: EllipticCurvePublicKey | RSAPublicKey | bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Header:
    """What a token says about itself, before anything is verified: good for choosing a door, not for opening it."""

    algorithm: str
    kid: str | None


def shared_key(variable: str, secret: bytes) -> Key:
    """An HS256 key. Raises `Misconfigured`, naming ``variable``, for a secret too short or of the wrong kind."""
    try:
        HMACAlgorithm(HMACAlgorithm.SHA256).prepare_key(secret)
    except jwt.InvalidKeyError:
        raise Misconfigured(f"{variable} must be a random secret, not a public key, certificate or JWK") from None
    if len(secret) < 32:
        raise Misconfigured(f"{variable} is shorter than 32 bytes")
    return Key("HS256", secret)


def read_header(token: str) -> Header:
    """The header of a token, unverified. Raises `Unauthenticated`.

    Only `alg`, `kid` and `typ` may be in it: `jku`, `jwk`, `x5u` and their like let a token name its own key, and a
    `crit` we do not understand has to be refused (RFC 7515, section 4.1.11).
    """
    if _SHAPE.fullmatch(token) is None:
        raise refusal()
    try:
        header = jwt.get_unverified_header(token)
    except jwt.InvalidTokenError:
        raise refusal() from None
    algorithm, kid = header.get("alg"), header.get("kid")
    if not header.keys() <= _HEADER_MEMBERS or not isinstance(algorithm, str) or header.get("typ", "JWT") != "JWT":
        raise refusal()
    return Header(algorithm, kid)


def read_claims(token: str, key: Key, *, issuer: str, audience: str, now: datetime) -> dict[str, Any]:
    """The claims of a token that ``key`` signed for us. Raises `Unauthenticated`.

    `iss`, `aud`, `sub` and `exp` must be there and hold; `nbf` and `iat` must hold if they are. PyJWT looks at the
    machine's clock, so the times are compared here, with ``now``.
    """
    try:
        claims: dict[str, Any] = jwt.decode(
            token,
            key.material,
            algorithms=[key.algorithm],
            issuer=issuer,
            audience=audience,
            options={
                "require": ["iss", "aud", "sub", "exp"],
                "verify_exp": False,
                "verify_nbf": False,
                "verify_iat": False,
            },
        )
    except jwt.PyJWTError:
        raise refusal() from None
    if not (is_subject(claims["sub"]) and _times_hold(claims, now.timestamp())):
        raise refusal()
    return claims


def is_subject(subject: str) -> bool:
    """Whether this can be whom a token is about: printable, and no longer than `members.user_id` may be."""
    return 0 < len(subject) <= 200 and subject.isprintable()


def _times_hold(claims: dict[str, Any], now: float) -> bool:
    expires, not_before, issued = (claims.get(name) for name in ("exp", "nbf", "iat"))
    if not _is_moment(expires) or expires <= now - LEEWAY_SECONDS:
        return False
    return all(
        moment is None or (_is_moment(moment) and moment <= now + LEEWAY_SECONDS) for moment in (not_before, issued)
    )


def _is_moment(value: object) -> TypeGuard[int | float]:
    # Python's JSON reads NaN and Infinity, and a token that expires at NaN never does.
    return type(value) is int or (isinstance(value, float) and math.isfinite(value))
