"""The long campaign: thousands of messages at every point, in steps that can be stopped and resumed.

python tests/faults/campaign.py --point after_inbox_commit --signal kill9 --messages 10000 --seed 7 --resume DIR

Without --point or --signal: all of them. The messages of a point are shared out between its signals. Each storm has a
seed of its own, which is in the report; `--storm SEED` repeats one alone. DIR keeps what was shown so far; the same
command goes on where it stopped. What a storm with a violation has left is kept in DIR/failed. Ends with 1 if anything
was wrong.
"""

import argparse
import asyncio
import sys
from collections import deque
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))

from faults import report
from faults.field import Field, open_field
from faults.outcome import Outcome, keep
from faults.points import POINTS, SIGNALS, Action, failing
from faults.report import Series
from faults.storm import rage

STORMS_ON_A_FIELD = 8
"""A new database and new processes after so many, so that a long campaign does not measure a table that only grows."""
TRIES = 3
"""How often a storm in which the victim did not fall is tried again, with other seeds."""
FALLS = 20
"""How often the victim falls in one storm at most; there is seldom time for more than six."""
PAUSE_PER_MESSAGE = 0.004
"""Between two webhooks of one customer: the longer the more customers, so that they write about 100 a second."""
PATIENCE_SECONDS = 2.0
"""Then a webhook is delivered again, of which Meta would wait for five seconds."""


def _arguments(words: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--point", choices=POINTS, action="append", help="where; may be repeated")
    parser.add_argument("--signal", choices=tuple(SIGNALS), action="append", help="how; may be repeated")
    parser.add_argument("--messages", type=int, default=10_000, help="messages at each point, over its signals")
    parser.add_argument("--storm-size", type=int, default=840, help="messages in a storm, at most")
    parser.add_argument("--fields", type=int, default=1, help="installations that storms rage on side by side")
    parser.add_argument("--storm", type=int, help="repeat this one storm; --storm-size as in the report")
    parser.add_argument("--seed", type=int, default=7, help="what the seeds of the storms are counted from")
    parser.add_argument("--durable", action="store_true", help="let Postgres wait for the disk")
    parser.add_argument("--publish", type=Path, help="page whose table is replaced at the end")
    parser.add_argument("--resume", type=Path, default=Path("campaign"), help="folder for what was shown so far")
    return parser.parse_args(words)


async def run(words: list[str] | None = None) -> int:
    """The whole campaign, as the command line says it; 1 if anything was wrong."""
    told = _arguments(words)
    told.resume.mkdir(parents=True, exist_ok=True)
    signals: list[Action] = told.signal or list(SIGNALS)
    wanted = [(point, action) for point in told.point or POINTS for action in signals]
    if told.storm is not None:
        return await _repeat(told, *wanted[0])
    each = -(-told.messages // len(signals))
    waiting = deque(wanted)
    async with asyncio.TaskGroup() as group:
        for _ in range(told.fields):
            group.create_task(_work(told, waiting, each))
    sys.stdout.write(report.write(told.resume) + "\n")
    if told.publish:
        report.publish(told.resume, told.publish)
    return int(any(Series.load(told.resume, point, action).violations for point, action in wanted))


async def _work(told: argparse.Namespace, waiting: deque[tuple[str, Action]], each: int) -> None:
    """Takes one point after the other, with all its storms."""
    while waiting:
        point, action = waiting.popleft()
        while not await _some(told, point, action, each):
            pass


async def _some(told: argparse.Namespace, point: str, action: Action, each: int) -> bool:
    """Some storms on one field; answers whether the point has had its messages."""
    series = Series.load(told.resume, point, action)
    storms = -(-each // told.storm_size)
    if series.enough(each, storms * TRIES):
        return True
    size = -(-each // storms)
    async with open_field(told.seed, durable=told.durable) as field:
        for _ in range(STORMS_ON_A_FIELD):
            outcome = await _storm(field, point, action, seed=_seed(told.seed, series), size=size)
            series.add(outcome)
            series.save(told.resume)
            sys.stdout.write(series.line + "\n")
            sys.stdout.flush()
            if outcome.violations:
                keep(outcome, told.resume / "failed")
                break  # what is broken stays broken on this field: the next storm gets a new one
            if series.enough(each, storms * TRIES):
                break
    return series.enough(each, storms * TRIES)


def _seed(base: int, series: Series) -> int:
    """Another one for each storm: its last seven digits tell where, how, and the how manyth."""
    place = POINTS.index(series.point) * 10 + list(SIGNALS).index(series.signal)
    return base * 10_000_000 + place * 10_000 + len(series.seeds)


async def _storm(field: Field, point: str, action: Action, *, seed: int, size: int) -> Outcome:
    return await rage(
        field,
        failing(point, action, most=FALLS),
        seed=seed,
        messages=size,
        patience=PATIENCE_SECONDS,
        pause=size * PAUSE_PER_MESSAGE,
    )


async def _repeat(told: argparse.Namespace, point: str, action: Action) -> int:
    async with open_field(told.storm, durable=told.durable) as field:
        outcome = await _storm(field, point, action, seed=told.storm, size=told.storm_size)
        if outcome.violations:
            sys.stdout.write(f"kept in {keep(outcome, told.resume / 'failed')}\n")
    sys.stdout.write("\n".join([*outcome.violations, f"fell {outcome.falls} times"]) + "\n")
    return int(bool(outcome.violations))


if __name__ == "__main__":
    sys.exit(asyncio.run(run()))
