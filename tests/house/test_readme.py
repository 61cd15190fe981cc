"""Whoever follows the README gets what it shows; the same for the pages of the guide that say `<!-- runnable -->`.

A page is followed from top to bottom, in one folder and one shell, against a service of its own. Its blocks mean:

- `sh`: typed into the shell; every command must succeed, an HTTP error is a failure.
- `json`: what the last answer of the block above holds. Fields may be left out, "…" stands for anything, and a list
  that ends in "…" goes on.
- `text`: what the block above prints, among other things.
- `js`: to be read only.
- `console`: another terminal. `$ ` starts a program there, if it is one of `Reader.programs`; the other lines are what
  it prints, now or, without a `$ `, in a while.
"""

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest

from stands.clusters import free_port
from stands.service import SWITCHBOARD, Service, Terminal
from switchboard.settings import Settings

ROOT = Path(__file__).parents[2]
GUIDE = sorted((ROOT / "docs" / "guide").glob("*.md"))
PAGES = [ROOT / "README.md", *GUIDE]
COMMAND = ".venv/bin/switchboard"
RUNNABLE = "<!-- runnable -->"
FOLLOWED = [ROOT / "README.md", *(page for page in GUIDE if RUNNABLE in page.read_text())]
LINKED = [*PAGES, ROOT / "CHANGELOG.md", *sorted((ROOT / "docs" / "decisions").glob("*.md"))]
NOT_FOLLOWED = ("docker ", "make test", "supabase ", "sudo ")
"""What a `$ ` may start that a test cannot: it needs what is not here, or would be the tests in the tests."""
NO_SETTINGS = {"HUMAN_AGENT", "FORWARDED_ALLOW_IPS", "SWITCHBOARD_URL", "SWITCHBOARD_TOKEN", "CHANGELOG", "LICENSE"}
"""Words in capitals with an underscore that name something else."""


@dataclass(frozen=True)
class Block:
    """A fenced block of a page and the line it begins on."""

    language: str
    text: str
    line: int


def blocks(page: str) -> Iterator[Block]:
    """The fenced blocks of a page in their order."""
    for fence in re.finditer(r"^```(\w*)\n(.*?)^```$", page, re.MULTILINE | re.DOTALL):
        yield Block(fence[1], fence[2], page.count("\n", 0, fence.start()) + 1)


class Reader:
    """Somebody who follows a page in a folder that looks like a fresh checkout."""

    def __init__(self, service: Service) -> None:
        self.programs: dict[str, Callable[[], Terminal]] = {"make run": self._run, f"{COMMAND} demo": self._demo}
        self._service = service
        self._demo_port = free_port()
        self._programs: list[Terminal] = []
        self._output = ""
        self._shown: list[str] = []
        for name in (".venv", ".env.example", "api.py", "examples", "supabase"):
            (service.folder / name).symlink_to(ROOT / name)
        # So that a command whose answer nobody looks at must be answered well, too.
        (service.folder / ".curlrc").write_text("fail-with-body\n")
        self._shell = Terminal(["bash"], service.folder)
        self._shell.say("set -eu\n")

    def close(self) -> None:
        """Ends what was started but the service, which is the test's."""
        self._shell.kill()
        for program in self._programs:
            if program.running:
                program.stop()

    def follow(self, block: Block) -> None:
        """Does what the block says or checks what it shows."""
        text = block.text.replace("localhost:8001", f"localhost:{self._demo_port}")
        if self._service.address:
            text = text.replace("localhost:8000", f"localhost:{self._service.port}")
        match block.language:
            case "sh":
                self._type(text)
            case "json":
                assert_shows(json.loads(text), answers(self._output)[-1])
            case "text":
                assert text.strip() in self._output
            case "console":
                self._look(block.text.splitlines())
            case "js":
                pass
            case _:
                raise AssertionError(f"a block in {block.language!r}: use sh, json, text or console")

    def see_all(self) -> None:
        """What the last program printed is what the page shows of it, no more: nothing was said twice."""
        if self._programs and self._programs[-1] is not self._service.terminal:
            printed = self._programs[-1].lines
            assert [bool(re.fullmatch(pattern, line)) for pattern, line in zip(self._shown, printed, strict=True)]

    def _type(self, commands: str) -> None:
        before = len(self._shell.lines)
        self._shell.say(f"{commands}\nprintf '\\n--- {before}\\n'\n")
        self._shell.wait_for(f"^--- {before}$")
        self._output = "\n".join(self._shell.lines[before:-1])

    def _look(self, lines: list[str]) -> None:
        for line in lines:
            if line.startswith("$ "):
                command = line.removeprefix("$ ")
                if command not in self.programs:
                    assert command.startswith(NOT_FOLLOWED), f"{command} could be run, so it belongs into an sh block"
                    return
                self._shown = []
                self._programs.append(self.programs[command]())
            else:
                self._shown.append(self._pattern(line))
                self._programs[-1].wait_for(self._shown[-1])

    def _pattern(self, line: str) -> str:
        for named, port in ((8000, self._service.port), (8001, self._demo_port)):
            line = line.replace(f"localhost:{named}", f"localhost:{port}")
        return f"^{re.escape(line).replace('…', '.*')}$"

    def _run(self) -> Terminal:
        if self._service.address:
            self._service.stop()
        self._service.start()
        return self._service.terminal

    def _demo(self) -> Terminal:
        return Terminal([SWITCHBOARD, "demo", "--port", str(self._demo_port)], self._service.folder)


def answers(output: str) -> list[Any]:
    """The JSON documents in what several commands print."""
    found: list[Any] = []
    decoder, at = json.JSONDecoder(), 0
    while start := re.compile(r"[{\[]").search(output, at):
        try:
            document, at = decoder.raw_decode(output, start.start())
            found.append(document)
        except json.JSONDecodeError:
            at = start.end()
    assert found, f"no JSON in {output!r}"
    return found


def named(page: Path) -> str:
    """The page's name in the tests' own."""
    return page.relative_to(ROOT).as_posix()


def assert_shows(shown: Any, real: Any, place: str = "") -> None:
    """``shown`` leaves out, but does not lie."""
    if shown == "…":
        return
    if isinstance(shown, dict) and isinstance(real, dict):
        there = cast(dict[str, Any], real)
        for name, value in cast(dict[str, Any], shown).items():
            assert name in there, f"{place}.{name} is not there: {there}"
            assert_shows(value, there[name], f"{place}.{name}")
    elif isinstance(shown, list) and isinstance(real, list):
        values, items = cast(list[Any], shown), cast(list[Any], real)
        if values and values[-1] == "…":
            values, items = values[:-1], items[: len(values) - 1]
        assert len(values) == len(items), f"{place}: {len(items)} instead of {len(values)}: {real}"
        for number, value in enumerate(values):
            assert_shows(value, items[number], f"{place}[{number}]")
    else:
        assert shown == real, place


@pytest.mark.parametrize("page", FOLLOWED, ids=named)
def test_following_the_page_gives_what_it_shows(page: Path) -> None:
    text = page.read_text()
    with ExitStack() as stack:
        service = Service()
        stack.callback(service.close)
        reader = Reader(service)
        stack.callback(reader.close)
        if "$ make run" not in text:
            service.start()
        for block in blocks(text):
            try:
                reader.follow(block)
            except (AssertionError, RuntimeError, TimeoutError) as error:
                raise AssertionError(f"{page.name}:{block.line}: {error}") from error
        reader.see_all()


@pytest.mark.parametrize(
    ("shown", "real"),
    [
        ({"a": 1}, {"a": 2}),
        ({"a": "…"}, {"b": 1}),
        ({"a": {"b": [1]}}, {"a": {"b": [1, 2]}}),
        ([1, 2, "…"], [1]),
        ({"a": None}, {"a": 0}),
        ({"a": []}, {"a": {}}),
    ],
)
def test_what_is_shown_must_be_so(shown: Any, real: Any) -> None:
    with pytest.raises(AssertionError):
        assert_shows(shown, real)


@pytest.mark.parametrize(
    ("shown", "real"),
    [({"a": "…"}, {"a": 1, "b": 2}), ([1, "…"], [1, 2, 3]), ({"a": [{"b": "…"}]}, {"a": [{"b": 1, "c": 2}]})],
)
def test_what_is_shown_may_leave_out(shown: Any, real: Any) -> None:
    assert_shows(shown, real)


def test_api_py_starts_the_service_as_well() -> None:
    with Service(command=(sys.executable, ROOT / "api.py")) as service:
        assert service.token


@pytest.mark.parametrize("page", LINKED, ids=named)
def test_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text())
    missing = [target for target in targets if "://" not in target and not (page.parent / target).exists()]
    assert not missing


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_settings_that_are_named_exist(page: Path) -> None:
    found = set(re.findall(r"`\$?([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)\b", page.read_text()))
    assert found - NO_SETTINGS <= {name.upper() for name in Settings.model_fields}


@pytest.fixture(scope="module")
def endpoints(tmp_path_factory: pytest.TempPathFactory) -> set[tuple[str, str]]:
    """What the service says it has: (method, path)."""
    told = subprocess.run(
        [SWITCHBOARD, "openapi"], cwd=tmp_path_factory.mktemp("clean"), env={}, capture_output=True, check=True
    )
    paths = json.loads(told.stdout)["paths"]
    return {(method.upper(), template(path)) for path, methods in paths.items() for method in methods}


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_endpoints_that_are_named_exist(page: Path, endpoints: set[tuple[str, str]]) -> None:
    found = re.findall(r"`(GET|POST|PUT|DELETE) (/[^\s`?]*)", page.read_text())
    assert {(method, template(path)) for method, path in found} <= endpoints


def template(path: str) -> str:
    """The path with all its variables named alike."""
    return re.sub(r"\{\w+\}", "{}", path)
