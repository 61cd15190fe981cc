"""What every refusal of the service must be: a problem (RFC 9457) that says what to do and gives nothing away."""

import httpx

CANARY = "Zebra7Canary"
"""Stands in what tests send; no answer may repeat it."""


def check_problem(answer: httpx.Response, *statuses: int) -> str:
    """Fails unless the answer is a problem (RFC 9457) with one of the statuses, if given, that gives nothing away."""
    text = answer.text
    assert 400 <= answer.status_code < 500, (answer.status_code, text[:300])
    assert not statuses or answer.status_code in statuses, (answer.status_code, text[:300])
    assert answer.headers["content-type"] == "application/problem+json", text[:300]
    body = answer.json()
    assert body["success"] is False
    assert body["status"] == answer.status_code
    assert body["type"] == "about:blank"
    assert body["title"]
    assert body["code"]
    assert body["request_id"] == answer.headers["x-request-id"]
    assert len(body["detail"]) > 10, body
    assert all(set(error) == {"field", "message"} for error in body["errors"])
    assert CANARY not in text, text
    assert len(text) < 2000, text[:3000]
    for secret in ("Traceback", "select ", "PostgresError", "asyncpg", "pydantic", 'File "', "errors.pydantic"):
        assert secret not in text
    return str(body["detail"])
