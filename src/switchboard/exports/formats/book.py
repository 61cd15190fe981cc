"""The pages of an HTML archive: one that is full is bound into a zip, the first one may stay the only one.

What stands at the beginning of a page is known at its end, so its threads wait on the disk until then.
"""

import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import date
from typing import Any, BinaryIO, Final

import orjson

from switchboard.exports.asked import Options
from switchboard.exports.conversation import Conversation, Message, Part
from switchboard.exports.formats.figures import Figures
from switchboard.exports.formats.pages import Pages, policy
from switchboard.exports.formats.text import mended, to_json
from switchboard.exports.manifest import EMPTY, Manifest

PIECE: Final = 256 * 1024
INDEX: Final = "index.html"
MANIFEST: Final = "manifest.json"
_PEOPLE: Final = {"human": "Our team", "system": "Notice"}


class Book:
    """Takes the parts of conversations one after the other; then it is one page or several."""

    def __init__(self, manifest: Manifest, options: Options, page_bytes: int, unnamed: Callable[[], BinaryIO]) -> None:
        """``page_bytes``: a page with so much is full; ``unnamed`` opens files that somebody else closes."""
        self._manifest = manifest
        self._metadata = options.include_metadata
        self._page_bytes = page_bytes
        self._unnamed = unnamed
        self._pages = Pages(manifest.about["time_zone"])
        self._figures = Figures()
        self._page = _Page(unnamed)
        self._binding: _Binding | None = None
        self._thread: _Thread | None = None

    @property
    def is_full(self) -> bool:
        """Whether another page is to be begun before more is added."""
        return self._page.size >= self._page_bytes

    @property
    def is_one(self) -> bool:
        """Whether there is one page only."""
        return self._binding is None

    def add(self, part: Part) -> None:
        """Writes a part of a conversation."""
        thread = self._thread or self._begin(part)
        said = [self._view(message, part.conversation) for message in part.messages]
        self._figures.count(part, Counter[date](each["moment"].date() for each in said))
        self._page.write(self._pages.fill("messages", messages=said))
        thread.messages += len(said)
        if part.last:
            self._end(thread)

    def turn(self) -> None:
        """Binds the page that is full, and begins another one. Takes its time."""
        if self._thread is not None:
            self._end(self._thread)
        self._binding = self._binding or _Binding(self._unnamed)
        self._bind_page(self._binding)
        self._page = _Page(self._unnamed)

    def alone(self) -> Iterator[bytes]:
        """The one page, but for its manifest."""
        yield from self._begun(figures=self._figures.drawn(), empty=None if self._page.entered else EMPTY)
        yield from self._threads()
        yield self._content("end", index=False, whole=True)

    def bound(self) -> BinaryIO:
        """The zip, with its index and its manifest. Takes its time."""
        binding = self._binding or _Binding(self._unnamed)
        self._bind_page(binding)
        binding.put(INDEX, self._index(binding))
        binding.put(MANIFEST, iter((self._manifest.close(),)))
        return binding.closed()

    def _begin(self, part: Part) -> "_Thread":
        conversation = part.conversation
        self._thread = _Thread(conversation, continued=not part.first)
        self._page.write(
            self._pages.fill(
                "thread",
                anchor=self._thread.anchor,
                title=self._thread.title,
                conversation=conversation,
                summary=conversation.summary if self._metadata else None,
                continued=self._thread.continued,
            )
        )
        return self._thread

    def _end(self, thread: "_Thread") -> None:
        self._page.write(self._pages.fill("thread_end"))
        self._page.enter(thread.entry)
        self._thread = None

    def _view(self, message: Message, conversation: Conversation) -> dict[str, Any]:
        moment = self._pages.moment(message.timestamp)
        sender = message.sender_type
        who = {"guest": conversation.guest_name or "Guest", "ai": conversation.agent or "AI"} | _PEOPLE
        return {
            "sender": sender,
            "who": who[sender],
            "at": message.timestamp,
            "moment": moment,
            "shown": f"{moment:%Y-%m-%d %H:%M}",
            "text": message.text,
            "lost": None if message.heard else "taken back" if sender == "guest" else "did not arrive",
            "files": message.attachments or (),
            "ratings": message.ratings or (),
            "flags": message.flags or (),
        }

    def _bind_page(self, binding: "_Binding") -> None:
        number = len(binding.pages) + 1
        name = f"page-{number:03d}.html"
        binding.put(name, self._numbered(number))
        for entry in self._page.entries():
            binding.contents.enter({**entry, "page": name})
        binding.pages.append({"file": name, "number": number, "many": self._page.entered, "begins": self._page.begins})
        self._page.close()

    def _numbered(self, number: int) -> Iterator[bytes]:
        yield from self._begun(number=number)
        yield from self._threads()
        yield from self._ended(index=False)

    def _index(self, binding: "_Binding") -> Iterator[bytes]:
        yield from self._begun(binding.contents, figures=self._figures.drawn(), parts=binding.pages)
        yield from self._ended(index=True)

    def _begun(self, contents: "_Page | None" = None, **told: object) -> Iterator[bytes]:
        about = {"policy": policy(), "about": self._manifest.about}
        nothing = dict.fromkeys(("figures", "parts", "number", "empty"))
        yield self._content("begin", **{**nothing, **about, **told})
        for entry in (contents or self._page).entries():
            yield self._content("entry", entry={"page": "", **entry})

    def _threads(self) -> Iterator[bytes]:
        yield self._content("threads")
        yield from map(self._manifest.content, self._page.threads())

    def _ended(self, *, index: bool) -> Iterator[bytes]:
        yield self._content("end", index=index, whole=False)
        yield self._manifest.content(b"</footer></body></html>\n")

    def _content(self, template: str, **values: object) -> bytes:
        return self._manifest.content(_bytes(self._pages.fill(template, **values)))


class _Thread:
    """A conversation under way, as far as it stands on this page."""

    def __init__(self, conversation: Conversation, *, continued: bool) -> None:
        self.anchor = f"c{conversation.conversation_id}"
        self.title = conversation.title or conversation.guest_name or f"Conversation {conversation.conversation_id}"
        self.continued = continued
        self.messages = 0
        self._begun = conversation.created_at

    @property
    def entry(self) -> dict[str, Any]:
        """Its line in the contents."""
        return {
            "anchor": self.anchor,
            "title": self.title,
            "begun": self._begun,
            "many": self.messages,
            "continued": self.continued,
        }


class _Page:
    """A page under way: its threads and its contents, on the disk until it is seen how much it is."""

    def __init__(self, unnamed: Callable[[], BinaryIO]) -> None:
        self._written = unnamed()
        self._entries = unnamed()
        self.size = 0
        self.entered = 0
        self.begins: str | None = None

    def write(self, text: str) -> None:
        """More of the threads."""
        written = _bytes(text)
        self._written.write(written)
        self.size += len(written)

    def enter(self, entry: dict[str, Any]) -> None:
        """One more in the contents."""
        self.entered += 1
        self.begins = self.begins or entry["begun"]
        self._entries.write(to_json(entry) + b"\n")

    def entries(self) -> Iterator[dict[str, Any]]:
        """The contents."""
        self._entries.seek(0)
        for line in self._entries:
            yield orjson.loads(line)

    def threads(self) -> Iterator[bytes]:
        """The threads in pieces."""
        self._written.seek(0)
        while piece := self._written.read(PIECE):
            yield piece

    def close(self) -> None:
        """Its files are gone with it."""
        self._written.close()
        self._entries.close()


class _Binding:
    """The zip. ``contents`` are those of all pages that are in it."""

    def __init__(self, unnamed: Callable[[], BinaryIO]) -> None:
        self._file = unnamed()
        self._zip = zipfile.ZipFile(self._file, "w", zipfile.ZIP_DEFLATED)
        self.contents = _Page(unnamed)
        self.pages: list[dict[str, Any]] = []

    def put(self, name: str, pieces: Iterator[bytes]) -> None:
        """One more file; always of the same day, so that the same conversations give the same bytes."""
        told = zipfile.ZipInfo(name)
        told.compress_type = zipfile.ZIP_DEFLATED
        with self._zip.open(told, "w") as member:
            for piece in pieces:
                member.write(piece)

    def closed(self) -> BinaryIO:
        """The file, from its beginning."""
        self._zip.close()
        self._file.seek(0)
        return self._file


def _bytes(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        return mended(text).encode()
