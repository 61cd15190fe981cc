"""Only what Meta signed gets in, and only Meta's handshake is answered."""

import json
import time

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels import payloads
from stands.graph import sign
from switchboard.channels.messenger import Messenger
from switchboard.channels.messenger.verify import Signatures, handshake
from switchboard.errors import Invalid, Misconfigured, SignatureInvalid

SECRET = "0123456789abcdef0123456789abcdef"
INSTAGRAM_SECRET = "fedcba9876543210fedcba9876543210"
BODY = payloads.body(payloads.TEXT)
INSTAGRAM_BODY = payloads.body(payloads.IG_TEXT, kind="instagram", account=payloads.IGID)
SIGNATURES = Signatures(app_secret=SECRET, instagram_app_secret=None)
BOTH = Signatures(app_secret=SECRET, instagram_app_secret=INSTAGRAM_SECRET)


def test_the_signature_of_the_raw_bytes_is_accepted() -> None:
    SIGNATURES.check(sign(BODY, SECRET), BODY)


@pytest.mark.parametrize("name", ["X-Hub-Signature-256", "x-hub-signature-256", "X-HUB-SIGNATURE-256"])
def test_the_header_is_found_however_it_is_written(name: str) -> None:
    SIGNATURES.check({"Host": "x", name: sign(BODY, SECRET)["X-Hub-Signature-256"]}, BODY)


GOOD = sign(BODY, SECRET)["X-Hub-Signature-256"]
FORGED = {
    "missing": {},
    "only the old SHA-1 header": {"X-Hub-Signature": "sha1=" + GOOD[7:47]},
    "empty": {"X-Hub-Signature-256": ""},
    "without its prefix": {"X-Hub-Signature-256": GOOD[7:]},
    "with another prefix": {"X-Hub-Signature-256": "sha1=" + GOOD[7:]},
    "cut short": {"X-Hub-Signature-256": GOOD[:-1]},
    "too long": {"X-Hub-Signature-256": GOOD + "0"},
    "with a space": {"X-Hub-Signature-256": GOOD + " "},
    "in capitals": {"X-Hub-Signature-256": GOOD.upper()},
    "no hexadecimal": {"X-Hub-Signature-256": "sha256=" + "z" * 64},
    "not ASCII": {"X-Hub-Signature-256": "sha256=" + "é" * 64},
    "a lone surrogate": {"X-Hub-Signature-256": "sha256=\udcff"},
    "of another secret": sign(BODY, SECRET + "0"),
    "of an empty secret": sign(BODY, ""),
    "of another body": sign(BODY + b" ", SECRET),
}


@pytest.mark.parametrize("headers", FORGED.values(), ids=FORGED)
def test_any_other_signature_is_refused(headers: dict[str, str]) -> None:
    with pytest.raises(SignatureInvalid):
        SIGNATURES.check(headers, BODY)


@pytest.mark.parametrize("secret", [None, ""])
def test_without_a_secret_the_door_is_closed(secret: str | None) -> None:
    with pytest.raises(SignatureInvalid, match="FACEBOOK_APP_SECRET"):
        Signatures(app_secret=secret, instagram_app_secret=secret).check(sign(BODY, ""), BODY)


@given(st.binary(min_size=1, max_size=200), st.data())
def test_one_changed_bit_is_refused(body: bytes, data: st.DataObject) -> None:
    headers = sign(body, SECRET)
    SIGNATURES.check(headers, body)
    place = data.draw(st.integers(0, len(body) * 8 - 1))
    changed = bytearray(body)
    changed[place // 8] ^= 1 << place % 8
    with pytest.raises(SignatureInvalid):
        SIGNATURES.check(headers, bytes(changed))


@given(st.integers(0, len(GOOD) * 7 - 1))
def test_one_changed_bit_of_the_signature_is_refused(place: int) -> None:
    changed = bytearray(GOOD.encode())
    changed[place // 7] ^= 1 << place % 7
    with pytest.raises(SignatureInvalid):
        SIGNATURES.check({"X-Hub-Signature-256": changed.decode()}, BODY)


def test_the_same_json_in_other_bytes_is_refused() -> None:
    same = json.dumps(json.loads(BODY), ensure_ascii=False).encode()
    assert json.loads(same) == json.loads(BODY)
    with pytest.raises(SignatureInvalid):
        SIGNATURES.check(sign(BODY, SECRET), same)


@pytest.mark.parametrize("secret", [SECRET, INSTAGRAM_SECRET])
def test_instagram_may_sign_with_either_secret(secret: str) -> None:
    BOTH.check(sign(INSTAGRAM_BODY, secret), INSTAGRAM_BODY)


@pytest.mark.parametrize("body", [BODY, b"", b"null", b"{}", b'{"object":"instagram","object":"page"}'])
def test_the_instagram_secret_opens_no_other_door(body: bytes) -> None:
    with pytest.raises(SignatureInvalid):
        BOTH.check(sign(body, INSTAGRAM_SECRET), body)


def test_a_check_takes_less_than_50_microseconds() -> None:
    headers = {f"x-{n}": "y" for n in range(15)} | sign(BODY, SECRET)
    forged = headers | sign(BODY, SECRET + "0")
    assert min(_seconds_each(BOTH, headers) for _ in range(7)) < 50e-6
    assert min(_seconds_each(BOTH, forged) for _ in range(7)) < 50e-6


def _seconds_each(signatures: Signatures, headers: dict[str, str], rounds: int = 200) -> float:
    started = time.process_time()
    for _ in range(rounds):
        try:
            signatures.check(headers, BODY)
        except SignatureInvalid:
            continue
    return (time.process_time() - started) / rounds


def test_the_handshake_repeats_the_challenge() -> None:
    assert handshake(["wörd"], mode="subscribe", token="wörd", challenge="1158201444") == "1158201444"


@pytest.mark.parametrize(
    ("expected", "token"),
    [("word", "Word"), ("word", ""), ("word", None), ("word", "word "), ("word", "wörd\ud800"), (None, "x"), ("", "")],
)
def test_a_handshake_with_another_token_is_refused(expected: str | None, token: str | None) -> None:
    with pytest.raises(SignatureInvalid):
        handshake([expected or ""], mode="subscribe", token=token, challenge="1")


@pytest.mark.parametrize("mode", [None, "", "unsubscribe", "SUBSCRIBE"])
def test_a_handshake_of_another_mode_is_invalid(mode: str | None) -> None:
    with pytest.raises(Invalid) as caught:
        handshake(["word"], mode=mode, token="word", challenge="1")
    assert caught.value.errors[0]["field"] == "hub.mode"


@pytest.mark.parametrize("challenge", [None, "", "<script>", "12 3", "-1", "1.5", "٣", "²", "1" * 65])
def test_only_digits_are_repeated(challenge: str | None) -> None:
    with pytest.raises(Invalid) as caught:
        handshake(["word"], mode="subscribe", token="word", challenge=challenge)
    assert caught.value.errors[0]["field"] == "hub.challenge"


async def test_the_channel_verifies_and_shakes_hands() -> None:
    async with aiohttp.ClientSession() as http:
        messenger = _messenger(http, "https://graph.facebook.com/v23.0")
        messenger.verify(sign(BODY, SECRET), BODY)
        assert messenger.handshake("subscribe", "word", "42") == "42"
        assert messenger.parse(BODY)[0].text == "Grüß Gott 👋"


@pytest.mark.parametrize("url", ["", "graph.facebook.com/v23.0", "ftp://graph.facebook.com", "https://", "http://[x/"])
async def test_an_address_that_is_none_is_said_at_once(url: str) -> None:
    async with aiohttp.ClientSession() as http:
        with pytest.raises(Misconfigured, match="FACEBOOK_GRAPH_URL"):
            _messenger(http, url)


def _messenger(http: aiohttp.ClientSession, url: str) -> Messenger:
    return Messenger(
        app_secret=SECRET,
        instagram_app_secret=None,
        verify_token="word",
        app_id=None,
        graph_url=url,
        page_tokens={},
        http=http,
    )
