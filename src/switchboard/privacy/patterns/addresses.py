"""Web addresses: who signs in and what is asked for are replaced; host and path stay, for they say what it is about."""

import re
from collections.abc import Iterator

from switchboard.privacy.pseudonyms import SHIELD
from switchboard.privacy.spans import Span

_BEFORE_USER = re.compile(r"://(?=[^\s/?#@]{1,512}@)")
_USER = re.compile(rf"[^\s/?#{SHIELD}]*(?=@)")
_QUESTION = re.compile(r"(?<=[^\s?])[?#](?=[\w.\-\[\]%]{1,64}=)")
_PAIR = re.compile(r"[?#&;](?:amp;)?[\w.\-\[\]%]{1,64}=([^\s&#<>\"'`|]*)")
_PIECE = re.compile(rf"[^{SHIELD}]+")
_CLOSING = ".,;:!?)]}»”’。，！？）」』、"


def find(text: str) -> Iterator[Span]:
    """User and password before a host, and all values of a query: `?page=2` too, as no list says what is private."""
    for slashes in _BEFORE_USER.finditer(text):
        user = _USER.match(text, slashes.end())
        if user and user[0]:
            yield Span(*user.span(), "url", user[0])
    end = 0
    for question in _QUESTION.finditer(text):
        if question.start() < end:
            continue
        end = question.start()
        while pair := _PAIR.match(text, end):
            end = pair.end()
            # What closes the sentence or a bracket is not the address's.
            stop = pair.start(1) + len(pair[1].rstrip(_CLOSING)) if end == len(text) or text[end].isspace() else end
            for piece in _PIECE.finditer(text, pair.start(1), stop):
                yield Span(*piece.span(), "url", piece[0])
