"""Whatever is signed, parsing never raises, and everything it gives can be stored as jsonb."""

import json
import math
from typing import Any, get_args

import orjson
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from channels.payloads import EVENTS, PAGE, TEXT
from switchboard.channels import Inbound, Kind
from switchboard.channels.messenger.parse import parse

ANY_TEXT = st.text(st.characters(codec=None))  # lone surrogates and NUL included
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-(10**40), 10**40),
    st.floats(),
    ANY_TEXT,
    st.sampled_from(["page", "instagram", PAGE, "", "m" * 501]),
)
JSON = st.recursive(
    SCALARS, lambda inside: st.lists(inside, max_size=4) | st.dictionaries(ANY_TEXT, inside, max_size=4), max_leaves=12
)
AROUND = ["object", "entry", "id", "messaging", "standby", "changes", "value", "sender", "recipient", "timestamp"]
KINDS = ["message", "postback", "reaction", "message_edit", "read", "delivery", "referral", "field"]
INSIDE = ["mid", "mids", "text", "title", "payload", "is_echo", "is_deleted", "is_unsupported", "app_id", "metadata"]
DEEPER = ["attachments", "url", "type", "sticker_id", "quick_reply", "reply_to", "story", "action", "emoji"]
KNOWN_KEYS = st.sampled_from([*AROUND, *KINDS, *INSIDE, *DEEPER, "watermark", "num_edit"])


def check(body: bytes) -> list[Inbound]:
    found = parse(body)
    for inbound in found:
        assert inbound.kind in get_args(Kind)
        assert inbound.platform in {"messenger", "instagram", "unknown"}
        assert inbound.at is None or inbound.at.utcoffset() is not None
        assert (inbound.kind == "unknown") == ("reason" in inbound.data)
        assert inbound.kind == "unknown" or (inbound.account and inbound.customer and inbound.raw is None)
        storable([inbound.account, inbound.customer, inbound.external_id, inbound.text, inbound.reply_to])
        storable([inbound.data, inbound.raw])
    return found


def storable(value: Any) -> None:
    """As Postgres' jsonb takes it, through orjson."""
    written = orjson.dumps(value)
    assert b"\\u0000" not in written.replace(rb"\\", b"")
    assert all(math.isfinite(number) for number in numbers(value))


def numbers(value: Any) -> list[float]:
    if isinstance(value, dict):
        return [number for item in value.values() for number in numbers(item)]
    if isinstance(value, list):
        return [number for item in value for number in numbers(item)]
    return [value] if isinstance(value, float) else []


@given(st.binary(max_size=300))
def test_any_bytes(body: bytes) -> None:
    assert len(check(body)) == 1


@given(JSON)
def test_any_json(value: Any) -> None:
    check(json.dumps(value).encode())


@given(st.dictionaries(KNOWN_KEYS, JSON, max_size=6), st.sampled_from(["page", "instagram", "user"]))
def test_any_event_of_known_keys(value: dict[str, Any], kind: str) -> None:
    event = TEXT | value
    found = check(json.dumps({"object": kind, "entry": [{"id": PAGE, "messaging": [event]}]}).encode())
    assert len(found) == 1


@st.composite
def mutated(draw: st.DrawFn) -> Any:
    """A valid event in which one value, anywhere, is something else, gone or one more."""
    event = json.loads(json.dumps(draw(st.sampled_from(EVENTS))))
    for _ in range(draw(st.integers(1, 3))):
        holder = draw(st.sampled_from(holders(event)))
        if isinstance(holder, list):
            holder.append(draw(JSON))
            continue
        key = draw(st.sampled_from(sorted(holder)) | KNOWN_KEYS) if holder else draw(KNOWN_KEYS)
        if draw(st.booleans()):
            holder.pop(key, None)
        else:
            holder[key] = draw(JSON)
    return event


def holders(value: Any) -> list[Any]:
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
    found = [holder for item in inside for holder in holders(item)]
    return [value, *found] if isinstance(value, dict | list) else found


@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(mutated(), st.sampled_from(["page", "instagram"]), st.sampled_from(["messaging", "standby", "changes"]))
def test_a_mutated_event_never_costs_its_neighbours(event: Any, kind: str, key: str) -> None:
    entries = [
        {"id": PAGE, "messaging": [TEXT]},
        {"id": PAGE, key: [event]},
        {"id": PAGE, "messaging": [TEXT]},
    ]
    first, _, last = check(json.dumps({"object": kind, "entry": entries}).encode())
    assert (first.kind, first.text, last.kind, last.text) == ("message", TEXT["message"]["text"]) * 2


@settings(max_examples=300)
@given(st.sampled_from(EVENTS), st.data())
def test_flipped_bytes_of_a_valid_body(event: Any, data: st.DataObject) -> None:
    body = bytearray(json.dumps({"object": "page", "entry": [{"id": PAGE, "messaging": [event]}]}).encode())
    for _ in range(data.draw(st.integers(1, 4))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    check(bytes(body))
