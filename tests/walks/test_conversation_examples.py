"""The requests of the conversation app's documentation, word for word, and everything its view sets can do, in one go.

They stand in `conversation_examples.md`. Ids that are there stand in for `<message_uuid>` and the like.
"""

import json
import re
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from sessions.conftest import make as make
from stands.app import bearer, token
from stands.served import sql as sql
from stands.shop import MakeSettings, open_shop

EXAMPLES = Path(__file__).with_name("conversation_examples.md").read_text(encoding="utf-8")
REQUEST = re.compile(r"^([^\n]+):\n```http\n(\w+) (\S+)\n(.*?)```$", re.MULTILINE | re.DOTALL)


def filled_in(text: str, ids: dict[str, int]) -> str:
    """With our numbers instead of ``<message_uuid>``, which are strings in JSON: both are taken."""
    return re.sub(r"<(\w+)_uuid>", lambda found: str(ids[found[1]]), text)


@pytest.fixture
async def ask(make: MakeSettings) -> Any:
    """Asks as the owner of the only workspace: method, path, body -> status and JSON."""
    async with open_shop(make) as shop:
        headers = bearer(token(shop.settings, "owner", 1, subject="anna"))

        async def send(method: str, path: str, body: Any = None) -> tuple[int, Any]:
            answer = await shop.client.request(method, path, json=body, headers=headers)
            return answer.status_code, answer.json() if answer.content else None

        yield send


async def test_the_examples_word_for_word(ask: Any, sql: asyncpg.Connection) -> None:
    ids = {"agent": await sql.fetchval("select id from agents where is_default")}
    told: dict[str, tuple[int, Any]] = {}
    for title, method, path, body in REQUEST.findall(EXAMPLES):
        said = json.loads(filled_in(body, ids)) if body.strip() else None
        told[title] = await ask(method, filled_in(path, ids), said)
        if title == "Create conversation":
            ids["conversation"] = told[title][1]["id"]
        if title == "Send message":
            ids["message"] = told[title][1]["reply"]["id"]
    assert len(told) == 7
    assert {status for status, _ in told.values()} <= {200, 201}, told
    assert told["Create conversation"][1]["title"] == "Chat with AI"
    assert told["Send message"][1]["reply"]["role"] == "assistant"
    rating = told["Example create"][1]["id"]
    # One rating of a person for a message: the second call was about the same.
    assert told["Rate message (accuracy = 5)"][1]["id"] == rating
    assert told["Get rating summary"][1] == {
        "helpful": {"avg": 5.0, "count": 1},
        "user": {"id": rating, "score": 5},
    }
    assert told["Get flag summary"][1]["mine"] == ["factual_error"]


async def test_every_view_set_does_what_it_says(ask: Any) -> None:
    _, agent = await ask(
        "POST", "/api/agents/", {"name": "Teacher", "role": "tutor", "system_prompt": "Explain simply."}
    )
    _, conversation = await ask("POST", "/api/conversations/", {"agent": agent["id"], "title": "Lesson"})
    _, said = await ask("POST", "/api/messages/", {"conversation": conversation["id"], "content": "When are you open?"})
    answer = said["reply"]["id"]
    _, rating = await ask("POST", "/api/ratings/", {"message": answer, "score": 2})
    _, flag = await ask("POST", "/api/flags/", {"message": answer, "flag_type": "outdated"})
    for method, path, body, status in [
        ("GET", "/api/models/", None, 200),
        ("GET", f"/api/agents/{agent['id']}/", None, 200),
        ("PATCH", f"/api/agents/{agent['id']}/", {"role": "teacher"}, 200),
        ("PUT", f"/api/agents/{agent['id']}/", {"name": "Teacher of physics"}, 200),
        ("GET", "/api/agents/", None, 200),
        ("GET", "/api/conversations/", None, 200),
        ("PATCH", f"/api/conversations/{conversation['id']}/", {"title": "First lesson"}, 200),
        ("GET", f"/api/conversations/{conversation['id']}/", None, 200),
        ("GET", f"/api/conversations/{conversation['id']}/messages/", None, 200),
        ("GET", "/api/messages/", None, 200),
        ("GET", f"/api/messages/{answer}/", None, 200),
        ("GET", f"/api/messages/by_conversation/?conversation_id={conversation['id']}", None, 200),
        ("GET", "/api/ratings/", None, 200),
        ("GET", f"/api/ratings/{rating['id']}/", None, 200),
        ("PATCH", f"/api/ratings/{rating['id']}/", {"comment": "Too short"}, 200),
        ("PUT", f"/api/ratings/{rating['id']}/", {"score": 3}, 200),
        ("GET", f"/api/ratings/by_message/?message_id={answer}", None, 200),
        ("GET", "/api/flags/", None, 200),
        ("GET", f"/api/flags/{flag['id']}/", None, 200),
        ("PATCH", f"/api/flags/{flag['id']}/", {"comment": "Since May"}, 200),
        ("GET", f"/api/flags/by_message/?message_id={answer}", None, 200),
        ("POST", "/api/flags/toggle/", {"message": answer, "flag_type": "off_topic"}, 200),
        ("GET", "/api/usage/", None, 200),
        ("GET", "/api/usage/summary/", None, 200),
        ("GET", "/api/usage/daily/", None, 200),
        ("GET", "/api/model-performance/", None, 200),
        ("POST", "/api/summaries/", {"conversation": conversation["id"]}, 202),
        ("GET", "/api/summaries/", None, 200),
        ("GET", f"/api/summaries/by_conversation/?conversation_id={conversation['id']}", None, 200),
        ("DELETE", f"/api/flags/{flag['id']}/", None, 204),
        ("DELETE", f"/api/ratings/{rating['id']}/", None, 204),
        ("DELETE", f"/api/conversations/{conversation['id']}/", None, 204),
        ("GET", f"/api/conversations/{conversation['id']}/", None, 404),
        ("GET", f"/api/messages/{answer}/", None, 404),
        ("DELETE", f"/api/agents/{agent['id']}/", None, 200),
    ]:
        told, found = await ask(method, path, body)
        assert told == status, (method, path, found)
    # What was said is out of sight; what was thought of it is kept.
    assert (await ask("GET", f"/api/flags/summary/?message_id={answer}"))[1]["counts"]["off_topic"] == 1
