"""Whether a model answers: one small call, which is in the ledger as a test."""

from contextlib import aclosing

import structlog

from switchboard.database import Database
from switchboard.errors import ProviderBusy, SwitchboardError
from switchboard.providers import Attempt, Done, Prompt, Said
from switchboard.providers.fallback import Candidate, Fallback
from switchboard.providers.registry import Providers

log = structlog.get_logger()


async def try_model(database: Database, providers: Providers, model_ref: str, workspace_id: int | None = None) -> Done:
    """Asks ``provider:model`` alone for one word; ``workspace_id``: for whom, None for the installation.

    Raises `ProviderError` when it does not answer. A database that is away keeps nobody from trying a model: the call
    is not booked then.
    """
    provider, model = providers.alone(model_ref)
    prompt = Prompt(model=model, system="Answer with the word ready.", messages=(Said("user", "Hello"),), tools=())
    attempt: Attempt | None = None
    try:
        async with aclosing(Fallback([Candidate(provider, model)]).stream(prompt)) as chunks:
            async for chunk in chunks:
                if isinstance(chunk, Attempt):
                    attempt = chunk
                elif isinstance(chunk, Done):
                    return chunk
        raise ProviderBusy("The model answered nothing.")
    finally:
        if attempt is not None:
            await _book(database, providers, attempt, workspace_id)


async def _book(database: Database, providers: Providers, attempt: Attempt, workspace_id: int | None) -> None:
    cost = providers.price(f"{attempt.provider}:{attempt.model}", attempt.usage)
    try:
        await database.call("record_call", workspace_id=workspace_id, purpose="test", call=attempt.told(cost))
    except SwitchboardError as error:
        log.warning("cost of a test not booked", code=error.code)
