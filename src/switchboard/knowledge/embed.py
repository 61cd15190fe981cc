"""One call to the embedding model, in the ledger whatever becomes of it."""

import time
from collections.abc import Sequence

import structlog

from switchboard.database import Database
from switchboard.errors import ProviderError, SwitchboardError
from switchboard.providers import CHARACTERS_PER_TOKEN, Attempt, Usage
from switchboard.providers.embeddings import Embedded, Embeddings

log = structlog.get_logger()


async def embed(
    database: Database,
    embeddings: Embeddings,
    workspace_id: int,
    texts: Sequence[str],
    conversation_id: int | None = None,
) -> Embedded:
    """``texts`` as numbers, see `Embeddings.embed`; ``conversation_id``: for whose answer. Raises as that does."""
    provider, _, model = embeddings.model_ref.partition(":")
    attempt, began = Attempt(provider, model), time.monotonic()
    made: Embedded | None = None
    try:
        made = await embeddings.embed(texts)
        attempt.outcome, attempt.usage = "answered", Usage(made.tokens)
        return made
    except ProviderError as error:
        attempt.outcome = error.fault
        # Turned away it cost nothing; broken off, nobody tells what it cost.
        attempt.usage = Usage() if error.turned_away else _estimate(texts)
        raise
    finally:
        if attempt.outcome == "running":
            attempt.outcome, attempt.usage = "stopped", _estimate(texts)
        attempt.latency_ms = round((time.monotonic() - began) * 1000)
        call = attempt.told(made.cost if made else embeddings.price(attempt.usage))
        await _book(database, workspace_id, call, conversation_id)


def _estimate(texts: Sequence[str]) -> Usage:
    return Usage(sum(-(-len(text) // CHARACTERS_PER_TOKEN) for text in texts), estimated=True)


async def _book(database: Database, workspace_id: int, call: dict[str, object], conversation_id: int | None) -> None:
    try:
        await database.call(
            "record_call", workspace_id=workspace_id, purpose="embedding", call=call, conversation_id=conversation_id
        )
    except SwitchboardError as error:
        # What was found by it is good all the same.
        log.warning("cost of an embedding not booked", code=error.code)
