"""What a file is, how it may be called, and for whom a link opens."""

import string
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from switchboard.errors import FetchRefused, SignatureInvalid
from switchboard.storage.kinds import header_name, is_inline, kind_of, name_of
from switchboard.storage.links import Links

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
OFFICE = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"


@pytest.mark.parametrize(
    ("content", "told", "content_type", "kind"),
    [
        (b"\x89PNG\r\n\x1a\n..", "text/html", "image/png", "image"),
        (b"\xff\xd8\xff\xe0..", None, "image/jpeg", "image"),
        (b"RIFF....WEBP", None, "image/webp", "image"),
        (b"....ftypisom", "video/mp4", "video/mp4", "video"),
        (b"....ftypM4A ", None, "audio/mp4", "audio"),
        (b"OggS..", "audio/ogg", "audio/ogg", "audio"),
        (b"%PDF-1.7", None, "application/pdf", "file"),
        (b"PK\x03\x04..", OFFICE, OFFICE, "file"),
        (b"PK\x03\x04..", "text/html", "application/zip", "file"),
        ("grüße".encode(), "text/html", "text/plain", "file"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'><script/>", "image/svg+xml", "application/octet-stream", "file"),
        (b"\xef\xbb\xbf  <!doctype html>", "image/png", "application/octet-stream", "file"),
        (b"\x00\x01\x02", "image/png", "application/octet-stream", "file"),
    ],
)
def test_the_bytes_decide(content: bytes, told: str | None, content_type: str, kind: str) -> None:
    found = kind_of(content, told)
    assert (found.content_type, found.kind) == (content_type, kind)


@pytest.mark.parametrize("content", [b"", b"MZ\x90\x00", b"\x7fELF\x02", b"#!/bin/sh\n", b"\xca\xfe\xba\xbe"])
def test_programs_are_not_kept(content: bytes) -> None:
    with pytest.raises(FetchRefused):
        kind_of(content)


@pytest.mark.parametrize(
    "content_type", ["text/html", "image/svg+xml", "application/pdf", "text/plain", "text/xml", ""]
)
def test_what_could_run_is_not_shown_in_place(content_type: str) -> None:
    assert not is_inline(content_type)


NAMES = [
    "../../etc/passwd",
    "..\\x",
    "%2e%2e/x",
    "a\0b",
    "\u202egnp.exe",
    "x" * 300,
    '"; filename=x',
    "a\r\nX: y",
    "",
    ".",
]


@pytest.mark.parametrize("name", NAMES)
def test_no_name_is_a_path_or_a_header(name: str) -> None:
    shown = name_of(name, "image/png")
    assert shown.isprintable()
    assert 0 < len(shown) <= 100
    assert not set(shown) & {"/", "\\"}
    assert shown not in {".", ".."}


@given(st.text(max_size=200))
def test_a_name_in_a_header_is_harmless(name: str) -> None:
    assert set(header_name(name_of(name, "image/png"))) <= set(string.ascii_letters + string.digits + "._-")
    assert header_name(name)


def test_a_link_opens_one_file_for_a_while() -> None:
    links = Links(lambda: b"secret", "https://desk.example/")
    path = links.make(7, NOW)
    expires, signature = path.partition("expires=")[2].split("&signature=")
    links.check(7, int(expires), signature, NOW + timedelta(seconds=299))
    assert links.make_public(7, NOW) == f"https://desk.example{path}"
    assert Links(lambda: b"secret", None).make_public(7, NOW) is None
    for wrong in (
        (8, int(expires), signature, NOW),
        (7, int(expires) + 1, signature, NOW),
        (7, int(expires), signature[:-1] + ("0" if signature[-1] != "0" else "1"), NOW),
        (7, int(expires), "", NOW),
        (7, int(expires), "é\udcff", NOW),
        (7, int(expires), signature, NOW + timedelta(seconds=301)),
    ):
        with pytest.raises(SignatureInvalid):
            links.check(*wrong)
    with pytest.raises(SignatureInvalid):
        Links(lambda: b"another", None).check(7, int(expires), signature, NOW)
