"""HTML: what a person would see of it. Nothing in it is fetched or run, and what it hides is not read."""

import re
from html.parser import HTMLParser

from switchboard.knowledge.readers import MOST_CHARACTERS, Section, Unreadable
from switchboard.knowledge.readers.plain import decode

_UNSEEN = frozenset(
    {"script", "style", "template", "noscript", "svg", "math", "iframe", "object", "nav", "head", "title", "select"}
)
_VOID = frozenset(
    {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}
)
_HEADINGS = {f"h{depth}": depth for depth in range(1, 7)}
_BLOCKS = frozenset(
    {
        *("address", "article", "aside", "blockquote", "dd", "details", "div", "dl", "dt", "figcaption", "figure"),
        *("footer", "form", "header", "hr", "main", "ol", "p", "pre", "section", "summary", "table", "ul"),
    }
)
_LINES = frozenset({"br", "li", "tr", "caption"})
_ENDS = {
    "p": {"p"},
    "li": {"li", "p"},
    "dt": {"dt", "dd", "p"},
    "dd": {"dt", "dd", "p"},
    "td": {"td", "th", "p"},
    "th": {"td", "th", "p"},
    "tr": {"td", "th", "tr", "p"},
    "option": {"option"},
}
"""What an element ends by beginning, where its own end was left out: HTML Living Standard, section 13.1.2.4."""
_HIDDEN = re.compile(
    r"display\s*:\s*none|visibility\s*:\s*hidden|font-size\s*:\s*0(?![.\d])|opacity\s*:\s*0(?![.\d])", re.I
)
MOST_DEPTH = 2_000
"""Elements within one another; a page that nests deeper was made to hurt."""


def read_html(body: bytes) -> list[Section]:
    """A section for each heading that has text below it. Lists and tables keep a line for each item and row."""
    page = _Page()
    page.feed(decode(body))
    page.close()
    return page.sections()


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._open: list[tuple[str, bool]] = []
        """Elements that are open, and whether each hides what is in it."""
        self._hidden = self._preformatted = 0
        self._sections: list[Section] = []
        self._path: list[str] = []
        self._text: list[str] = []
        self._heading: list[str] | None = None
        self._length = 0

    def sections(self) -> list[Section]:
        self._end_section()
        return self._sections

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        while self._open and self._open[-1][0] in _ENDS.get(tag, ()):
            self._hidden -= self._open.pop()[1]
        self._break(tag, opening=True)
        if tag in _VOID:
            return
        self._preformatted += tag == "pre"
        hides = tag in _UNSEEN or _hides({name: value or "" for name, value in attrs})
        self._open.append((tag, hides))
        self._hidden += hides
        if len(self._open) > MOST_DEPTH:
            raise Unreadable(f"The page nests its elements deeper than {MOST_DEPTH}.")
        if tag in _HEADINGS and not self._hidden:
            self._end_section()
            self._heading = []

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._break(tag, opening=True)

    def handle_endtag(self, tag: str) -> None:
        # Whoever is closed closes what was left open in it; a close without an opening means nothing.
        if not any(name == tag for name, _ in self._open):
            return
        while self._open:
            name, hides = self._open.pop()
            self._hidden -= hides
            self._preformatted -= name == "pre"
            if name in _HEADINGS and self._heading is not None:
                self._take_heading(_HEADINGS[name])
            if name == tag:
                break
        self._break(tag, opening=False)

    def handle_data(self, data: str) -> None:
        if self._hidden:
            return
        self._length += len(data)
        if self._length > 2 * MOST_CHARACTERS:
            raise Unreadable(f"The page has more than {MOST_CHARACTERS:,} characters of text: cut it.")
        text = data if self._preformatted else re.sub(r"\s+", " ", data)
        (self._text if self._heading is None else self._heading).append(text)

    def _break(self, tag: str, *, opening: bool) -> None:
        if self._hidden or self._heading is not None:
            return
        if tag in _BLOCKS:
            self._text.append("\n\n")
        elif tag in _LINES and opening:
            self._text.append("\n- " if tag == "li" else "\n")
        elif tag in {"td", "th"} and opening:
            self._text.append(" | ")

    def _take_heading(self, depth: int) -> None:
        heading = " ".join("".join(self._heading or []).split())
        self._heading = None
        del self._path[depth - 1 :]
        self._path.extend([""] * (depth - 1 - len(self._path)) + [heading])

    def _end_section(self) -> None:
        text = re.sub(r"[ \t]*\n[ \t]*", "\n", "".join(self._text))
        text = re.sub(r"(?m)^[ |]+", "", re.sub(r"\n{3,}", "\n\n", text)).strip()
        self._sections.append(Section(tuple(self._path), text))
        self._text.clear()


def _hides(attributes: dict[str, str]) -> bool:
    return (
        "hidden" in attributes
        or attributes.get("aria-hidden", "").lower() == "true"
        or bool(_HIDDEN.search(attributes.get("style", "")))
    )
