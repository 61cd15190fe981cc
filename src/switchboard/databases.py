"""Opening the database as the settings say: by REST, directly, or the embedded one."""

from contextlib import AsyncExitStack

from switchboard.database import Database
from switchboard.database.migrations import migrate
from switchboard.settings import Settings


async def open_databases(settings: Settings, stack: AsyncExitStack) -> tuple[Database, Database]:
    """The database as set, twice: for everything, and for webhooks alone. The embedded one is brought up to date."""
    timeout = settings.database_timeout_seconds
    # A webhook that the database does not take has to be spooled and acknowledged within the same deadline.
    pools = ((settings.database_pool_size, timeout), (settings.database_ingest_pool_size, timeout * 0.9))
    if settings.transport == "postgrest":
        from switchboard.database.postgrest import open_postgrest

        url, key = settings.supabase_url, settings.supabase_service_role_key
        if url is None or key is None:
            raise AssertionError("settings are checked in groups")
        opened: list[Database] = [
            await open_postgrest(url, key.get_secret_value(), timeout=seconds, pool_size=size)
            for size, seconds in pools
        ]
    else:
        from switchboard.database.postgres import open_postgres

        dsn = await _direct_address(settings, stack)
        opened = [
            await open_postgres(dsn, pool_size=size, timeout=seconds, behind_pooler=settings.behind_pooler)
            for size, seconds in pools
        ]
    for database in opened:
        stack.push_async_callback(database.close)
    return opened[0], opened[1]


async def _direct_address(settings: Settings, stack: AsyncExitStack) -> str:
    if settings.database_url is not None:
        return settings.database_url.get_secret_value()
    from switchboard.database.embedded import open_embedded

    embedded = await open_embedded(settings.data_dir / "postgres")
    stack.push_async_callback(embedded.leave)
    await migrate(embedded.dsn)
    return embedded.dsn
