"""All periodic tasks: a line each. A new one needs nothing else."""

from functools import partial

import aiohttp

from switchboard.agents.refresh import refresh_models
from switchboard.database import Database
from switchboard.feedback.roll_up import count_yesterdays_feedback_again, roll_up_feedback
from switchboard.metrics import Metrics
from switchboard.settings import Settings
from switchboard.storage import open_storage
from switchboard.trends.weeks import keep_weeks
from switchboard.upkeep.archive import archive
from switchboard.upkeep.close_idle import close_idle
from switchboard.upkeep.health import check_health
from switchboard.upkeep.purge import purge
from switchboard.upkeep.purge_deleted import purge_deleted
from switchboard.upkeep.purge_exports import purge_exports
from switchboard.upkeep.reconcile import reconcile
from switchboard.upkeep.run import Upkeep
from switchboard.upkeep.task import Result, Task
from switchboard.upkeep.watchdog import watch
from switchboard.usage.roll_up import count_yesterday_again, roll_up

MINUTE, HOUR = 60.0, 3600.0


def open_upkeep(database: Database, settings: Settings, metrics: Metrics) -> Upkeep:
    """The tasks of this installation."""
    zone = settings.upkeep_time_zone

    async def close(_: Result) -> Result:
        return await close_idle(database, idle_days=settings.idle_days)

    async def put_away(_: Result) -> Result:
        return await archive(database, archive_days=settings.archive_days)

    async def mend(before: Result) -> Result:
        return await reconcile(database, metrics, before)

    async def check(_: Result) -> Result:
        return await check_health(database, settings)

    async def count(_: Result) -> Result:
        return {"counted": await roll_up(database)}

    async def count_again(_: Result) -> Result:
        feedback = await count_yesterdays_feedback_again(database)
        return {**await count_yesterday_again(database), "feedback": feedback}

    async def count_feedback(_: Result) -> Result:
        return {"messages": await roll_up_feedback(database)}

    async def compare(_: Result) -> Result:
        return {"weeks": await keep_weeks(database)}

    async def delete(_: Result) -> Result:
        return await purge(database, inbox_days=settings.inbox_days, event_days=settings.event_days)

    async def forget(_: Result) -> Result:
        async with aiohttp.ClientSession() as http:
            return await purge_deleted(database, open_storage(settings, http))

    async def drop_exports(_: Result) -> Result:
        async with aiohttp.ClientSession() as http:
            return await purge_exports(database, open_storage(settings, http))

    async def list_models(_: Result) -> Result:
        return dict(await refresh_models(database, settings))

    async def look_after(_: Result) -> Result:
        return {"raised": await watch(database)}

    task = partial(Task, zone=zone)
    return Upkeep(
        database,
        [
            task("close_idle", "resolve conversations in which nothing happens", close, daily_at="02:00"),
            task("archive", "archive what was resolved long ago", put_away, daily_at="02:30"),
            task("reconcile", "mend counters, flags and lost turns", mend, every=30 * MINUTE),
            task("roll_up", "count what calls cost and what happened", count, every=MINUTE),
            task("feedback", "count ratings, flags, hand-overs and corrections", count_feedback, every=MINUTE),
            task("analytics", "count the day before once more, from the ledger", count_again, daily_at="01:00"),
            task("trends", "compare the week before with the four before it", compare, daily_at="04:00"),
            task("health", "ask every model and channel whether it works", check, every=12 * HOUR),
            task("models", "list the models there are, and what they cost", list_models, daily_at="03:00"),
            task("purge", "delete what has been kept long enough", delete, every=HOUR),
            task("deleted", "purge conversations that were deleted 30 days ago", forget, every=HOUR),
            task("exports", "delete exports past their 30 days, and files of removed ones", drop_exports, every=HOUR),
            task("watchdog", "show people who waits too long", look_after, every=15.0, at_once=True),
        ],
        metrics,
    )
