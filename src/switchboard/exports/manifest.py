"""What a file says of itself, so that it can be seen later whether it is whole and as it was written."""

import hashlib
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterable, Callable
from typing import Any, Final

import orjson

from switchboard.exports.conversation import Part

SCHEMA_VERSION: Final = "1.0"
EMPTY: Final = "No conversation fits these filters: the file is whole, and empty."


class Manifest:
    """Counts and hashes what is written, then closes it. Until then the file is not complete."""

    def __init__(self, about: dict[str, Any], closing: Callable[[], dict[str, Any]] = dict[str, Any]) -> None:
        """``about``: format, workspace, filters, options and watermark; ``closing`` adds what is known at the end."""
        self.about = about
        self._closing = closing
        self.counts: Counter[str] = Counter(
            dict.fromkeys(("conversations", "messages", "guest", "ai", "human", "system"), 0)
        )
        self.closed: dict[str, Any] | None = None
        self._hash = hashlib.sha256()
        self._bytes = 0

    @property
    def watermark_at(self) -> str:
        """When the export began."""
        at: str = self.about["watermark"]["at"]
        return at

    def content(self, text: bytes) -> bytes:
        """The same bytes, counted as content: everything a format writes but the manifest goes through here."""
        self._hash.update(text)
        self._bytes += len(text)
        return text

    async def counting(self, parts: AsyncIterable[Part]) -> AsyncGenerator[Part]:
        """The same parts, counted."""
        async for part in parts:
            self.count(part)
            yield part

    def count(self, part: Part) -> None:
        """Counts what is in a part."""
        self.counts["messages"] += len(part.messages)
        if part.last:
            self.counts["conversations"] += 1
            for sender, many in part.conversation.counts.items():
                self.counts[sender] += many

    def close(self) -> bytes:
        """The manifest as JSON in one line, once all content is written."""
        self.closed = {
            "schema_version": SCHEMA_VERSION,
            **self.about,
            "counts": dict(self.counts),
            **({} if self.counts["conversations"] else {"note": EMPTY}),
            **self._closing(),
            "bytes": self._bytes,
            "sha256": self._hash.hexdigest(),
        }
        return orjson.dumps(self.closed)
