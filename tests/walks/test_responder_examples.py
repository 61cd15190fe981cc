"""The Python examples of the responder's documentation run unchanged against the service.

They stand in `responder_examples.md`, word for word. What a reader would do to run them, `Requests` does in their
stead: another port, a real token, and ids that are there.
"""

import asyncio
import re
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest

from stands.app import bearer, local_settings, running_client, token, until_ready
from switchboard.database.postgres import Postgres
from switchboard.knowledge.cafe import put_cafe
from switchboard.settings import Settings

EXAMPLES = Path(__file__).with_name("responder_examples.md").read_text(encoding="utf-8")


def sections() -> Iterator[tuple[str, str]]:
    """The heading and the code of each example."""
    for part in EXAMPLES.split("\n### ")[1:]:
        heading, _, rest = part.partition("\n")
        for code in re.findall(r"^```python\n(.*?)^```$", rest, re.MULTILINE | re.DOTALL):
            yield heading.strip(), code


CODE = dict(sections())


@dataclass
class Requests:
    """As much of `requests` as the examples use; what it sent and was answered is kept in their order."""

    address: str
    tokens: dict[str, str]
    ids: dict[str, str]
    answers: list[httpx.Response] = field(default_factory=list[httpx.Response])

    def module(self) -> ModuleType:
        """What `import requests` finds."""
        made = ModuleType("requests")
        for method in ("get", "post", "put"):
            setattr(made, method, lambda url, data=None, _method=method, **more: self._send(_method, url, data, **more))
        return made

    def _send(self, method: str, url: str, data: Any = None, *, headers: dict[str, str]) -> httpx.Response:
        url = re.sub(r"/(msg_abc123|abc123)/", lambda found: f"/{self.ids[found[1]]}/", url)
        url = url.replace("http://localhost:8000", self.address)
        if data:
            data = {
                name: [self.ids[one] for one in value] if isinstance(value, list) else value
                for name, value in data.items()
            }
        word = headers["Authorization"].removeprefix("Bearer ")
        answer = httpx.request(
            method, url, data=data, headers={"Authorization": f"Bearer {self.tokens[word]}"}, timeout=30
        )
        self.answers.append(answer)
        return answer

    async def run(self, heading: str) -> list[Any]:
        """Runs an example in a thread, as a program beside the service; the JSON it was answered."""

        def program() -> None:
            # The first example imports it for all.
            exec(compile("import requests\n" + CODE[heading], heading, "exec"), {})

        self.answers.clear()
        await asyncio.to_thread(program)
        for answer in self.answers:
            assert answer.status_code == 200, answer.text
        return [answer.json() for answer in self.answers]


@pytest.fixture
def settings(database_url: str) -> Settings:
    return local_settings(database_url, reply_concurrency=4)


@pytest.fixture
async def requests(settings: Settings, postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Requests]:
    """The service with a café's knowledge, four conversations, and the words that the examples use for them."""
    async with running_client(settings) as client:
        await until_ready(client)
        await put_cafe(postgres, 1)
        owner = token(settings, "owner", 1)
        ids: dict[str, str] = {}
        for word in ("msg_abc123", "abc123", "def456", "ghi789"):
            opened = await client.post("/api/conversations", json={"user_id": word}, headers=bearer(owner))
            ids[word] = str(opened.json()["id"])
        tokens = {"your_token": owner, "your_admin_token": token(settings)}
        made = Requests(str(client.base_url).rstrip("/"), tokens, ids)
        monkeypatch.setitem(sys.modules, "requests", made.module())
        yield made


async def test_basic_question_and_answer(requests: Requests) -> None:
    (answer,) = await requests.run("Basic Question/Answer")
    assert (answer["question"], answer["customer_id"]) == ("What are your prices?", "test@example.com")
    assert answer["success"] is True
    assert answer["auto_response_generated"] is True
    assert isinstance(answer["session_id"], str)
    assert isinstance(answer["answer"], str)
    assert isinstance(answer["response_time_ms"], int)


async def test_send_message_to_session(requests: Requests) -> None:
    (answer,) = await requests.run("Send Message to Session")
    assert answer["session_id"] == requests.ids["msg_abc123"]
    assert answer["question"] == "Can you tell me more about your services?"


async def test_manage_conversation_status(requests: Requests) -> None:
    found, to_ai, to_people, bulk = await requests.run("Manage Conversation Status")
    assert [found["status"], to_ai["status"], to_people["status"]] == ["active", "active", "support_active"]
    assert (bulk["updated"], bulk["failed"]) == (3, 0)
    assert [one["status"] for one in bulk["results"]] == ["active"] * 3


async def test_manage_user_default_handler(requests: Requests) -> None:
    found, changed = await requests.run("Manage User Default Handler")
    assert [found["default_reply_handler"], changed["default_reply_handler"]] == ["AI", "AI"]


@pytest.mark.parametrize(
    "heading", ["Get Chat Analytics", "Get User Usage Statistics", "Get Global Usage Statistics (Admin)"]
)
async def test_analytics_and_usage(requests: Requests, heading: str) -> None:
    """What their answers hold is tested with the room that gives them."""
    for answer in await requests.run(heading):
        assert isinstance(answer, dict)


async def test_ids_that_nobody_gave_are_not_there(requests: Requests, settings: Settings) -> None:
    async with httpx.AsyncClient(base_url=requests.address, headers=bearer(requests.tokens["your_token"])) as client:
        for answer in (
            await client.post("/api/v1/ai/sessions/msg_abc123/send/", data={"message": "Hello"}),
            await client.get("/api/v1/ai/sessions/msg_abc123/"),
            await client.get("/api/v1/ai/conversations/abc123/status/"),
        ):
            assert answer.status_code == 404


def test_every_example_is_run() -> None:
    source = Path(__file__).read_text(encoding="utf-8")
    assert len(CODE) == 7
    assert [heading for heading in CODE if f'"{heading}"' not in source] == []
