"""Whose key a reply is made with: the installation's, or the workspace's own."""

import asyncio
from collections import OrderedDict
from dataclasses import replace

from pydantic import SecretStr

from switchboard.metrics import Metrics
from switchboard.providers.registry import Providers, open_providers
from switchboard.replies.turn import Turn
from switchboard.settings import Settings
from switchboard.workspaces.config import with_own_key
from switchboard.workspaces.provider_keys import ProviderKeys

MOST_KEPT = 100
"""Workspaces with a key of their own whose connections are kept open."""


class Models:
    """The installation's providers, and those of workspaces with their own key, opened when they are first asked."""

    def __init__(self, shared: Providers, settings: Settings, metrics: Metrics | None = None) -> None:
        self._shared = shared
        self._metrics = metrics
        self._settings = settings
        self._keys = ProviderKeys(settings.encryption_secret)
        self._own: OrderedDict[tuple[int, str, str], Providers] = OrderedDict()
        self._closing: set[asyncio.Task[None]] = set()

    def of(self, turn: Turn, model: str) -> Providers:
        """The providers to answer ``turn`` with. Raises `ProviderMisconfigured` when its own key cannot be opened."""
        name = model.partition(":")[0]
        sealed = turn.config.provider_keys.get(name)
        if sealed is None:
            return self._shared
        # A changed key is sealed anew, so what is kept under the old one is never asked again.
        kept = (turn.workspace_id, name, sealed)
        if kept not in self._own:
            key = SecretStr(self._keys.open(turn.workspace_id, name, sealed))
            own = open_providers(with_own_key(self._settings, name, key))
            # Their attempts are counted; whether their breakers are open says nothing about the installation's keys.
            self._own[kept] = replace(own, metrics=self._metrics)
        self._own.move_to_end(kept)
        if len(self._own) > MOST_KEPT:
            self._close_later(self._own.popitem(last=False)[1])
        return self._own[kept]

    async def close(self) -> None:
        """Gives back the connections of all but the shared ones, which are not its own."""
        for task in self._closing:
            task.cancel()
        await asyncio.gather(*(providers.close() for providers in self._own.values()))

    def _close_later(self, providers: Providers) -> None:
        """Closes them when no reply can be under way with them any more."""

        async def close() -> None:
            try:
                await asyncio.sleep(self._settings.provider_total_seconds)
            finally:
                await providers.close()

        task = asyncio.create_task(close())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)
