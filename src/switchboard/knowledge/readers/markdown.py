"""Markdown: its headings become the path of what stands below them; the text stays as it is written."""

import re

from switchboard.knowledge.readers import Section
from switchboard.knowledge.readers.plain import decode

# CommonMark 0.31.2, sections 4.2 (ATX headings), 4.3 (setext headings), 4.5 (fenced code blocks) and 6.6 (raw HTML).
_HEADING = re.compile(r" {0,3}(#{1,6})[ \t]+(.*?)(?:[ \t]+#+)?[ \t]*")
_UNDERLINE = re.compile(r" {0,3}(=+|-{2,})[ \t]*")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_COMMENT = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)
_FRONT_MATTER = re.compile(r"\A---\n.*?\n---\n", re.DOTALL)


def read_markdown(body: bytes) -> list[Section]:
    """A section for each heading that has text; comments and front matter, which no reader sees, are left out."""
    text = decode(body).replace("\r\n", "\n").replace("\r", "\n")
    text = _COMMENT.sub("", _FRONT_MATTER.sub("", text))
    sections: list[Section] = []
    path: list[str] = []
    lines: list[str] = []
    fence = ""

    def begin(depth: int, heading: str) -> None:
        sections.append(Section(tuple(path), "\n".join(lines)))
        lines.clear()
        del path[depth - 1 :]
        path.extend([""] * (depth - 1 - len(path)) + [heading])

    for line in text.split("\n"):
        if mark := _FENCE.match(line):
            fence = "" if fence and mark[1].startswith(fence) else fence or mark[1]
            lines.append(line)
        elif not fence and (heading := _HEADING.fullmatch(line)):
            begin(len(heading[1]), heading[2])
        elif not fence and (under := _UNDERLINE.fullmatch(line)) and lines and _could_be_heading(lines):
            begin(1 if under[1][0] == "=" else 2, lines.pop())
        else:
            lines.append(line)
    return [*sections, Section(tuple(path), "\n".join(lines))]


def _could_be_heading(lines: list[str]) -> bool:
    """Whether the last line, alone in its paragraph, may be underlined."""
    alone = len(lines) < 2 or not lines[-2].strip()
    return alone and bool(lines[-1].strip()) and not re.match(r"\s*(?:[-*+>|]|\d+[.)])", lines[-1])
