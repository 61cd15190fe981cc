"""What has to be there before a process can do its work: a database that is up to date, and a workspace in it."""

import asyncio

import structlog

from switchboard.database import Database
from switchboard.database.migrations import pending
from switchboard.errors import SwitchboardError, Unavailable
from switchboard.knowledge.cafe import put_cafe
from switchboard.providers.registry import Providers
from switchboard.settings import Settings
from switchboard.workspaces.first import First, prepare

PREPARE_AGAIN_SECONDS = 2.0

log = structlog.get_logger()


class Preparation:
    """Waits until the database is there and up to date, then makes sure of the first workspace."""

    def __init__(self, settings: Settings, database: Database, providers: Providers) -> None:
        self._settings = settings
        self._database = database
        self._providers = providers
        self._wrong = "The database has not been looked at yet."
        self.done = asyncio.Event()

    async def check(self) -> None:
        """Raises `Unavailable` with what is still wrong."""
        if not self.done.is_set():
            raise Unavailable(self._wrong)

    async def run(self) -> None:
        """Tries until it works."""
        while not self.done.is_set():
            try:
                await self._prepare()
            except SwitchboardError as error:
                if error.message != self._wrong:
                    log.warning("not ready", reason=error.message)
                self._wrong = error.message
                await asyncio.sleep(PREPARE_AGAIN_SECONDS)

    async def _prepare(self) -> None:
        missing = await pending(self._database)
        if missing:
            raise Unavailable(f"The schema lacks {', '.join(missing)}: run `switchboard migrate`.")
        embedded = self._settings.transport == "embedded"
        first: First = await prepare(
            self._database,
            self._settings,
            name="Café Switchboard" if embedded else "My business",
            providers=self._providers.by_name,
        )
        if embedded and first.created:
            await put_cafe(self._database, first.id)
        self.done.set()
