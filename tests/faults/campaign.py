"""The long campaign: thousands of messages at every point, in steps that can be stopped and resumed.

python tests/faults/campaign.py --point after_inbox_commit --signal kill9 --messages 10000 --seed 7 --resume DIR

Without --point or --signal: all of them. Each storm has a seed of its own, which is in the report; `--storm SEED`
repeats one alone. DIR keeps what was shown so far; the same command goes on where it stopped. Ends with 1 if anything
was wrong.
"""

import argparse
import asyncio
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))

from faults import report
from faults.field import Field, open_field
from faults.points import POINTS, Action, failing
from faults.report import Series
from faults.storm import rage

ACTIONS: tuple[Action, ...] = ("kill9", "term", "stop")
STORMS_ON_A_FIELD = 20
"""A new database and new processes after so many, so that a long campaign does not measure a table that only grows."""
TRIES = 3
"""How often a storm in which the victim did not fall is tried again, with other seeds."""


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--point", choices=POINTS, action="append", help="where; may be repeated")
    parser.add_argument("--signal", choices=ACTIONS, action="append", help="how; may be repeated")
    parser.add_argument("--messages", type=int, default=200, help="messages at each point with each signal")
    parser.add_argument("--storm-size", type=int, default=200, help="messages in each storm")
    parser.add_argument("--storm", type=int, help="repeat this one storm")
    parser.add_argument("--seed", type=int, default=7, help="what the seeds of the storms are counted from")
    parser.add_argument("--durable", action="store_true", help="let Postgres wait for the disk")
    parser.add_argument("--publish", type=Path, help="page whose table is replaced at the end")
    parser.add_argument("--resume", type=Path, default=Path("campaign"), help="folder for what was shown so far")
    return parser.parse_args()


async def _run(told: argparse.Namespace) -> int:
    told.resume.mkdir(parents=True, exist_ok=True)
    wanted: list[tuple[str, Action]] = [
        (point, action) for point in told.point or POINTS for action in told.signal or ACTIONS
    ]
    if told.storm is not None:
        async with open_field(told.storm, durable=told.durable) as field:
            return await _repeat(field, told, *wanted[0])
    for point, action in wanted:
        while not await _some(told, point, action):
            pass
    sys.stdout.write(report.write(told.resume) + "\n")
    if told.publish:
        report.publish(told.resume, told.publish)
    return int(any(Series.load(told.resume, point, action).violations for point, action in wanted))


async def _repeat(field: Field, told: argparse.Namespace, point: str, action: Action) -> int:
    outcome = await rage(field, failing(point, action), seed=told.storm, messages=told.storm_size, patience=2)
    sys.stdout.write("\n".join([*outcome.violations, f"happened: {outcome.happened}"]) + "\n")
    return int(bool(outcome.violations))


async def _some(told: argparse.Namespace, point: str, action: Action) -> bool:
    """Some storms on one field; answers whether the point has had its messages."""
    series = Series.load(told.resume, point, action)
    if _enough(series, told.messages, told.storm_size):
        return True
    async with open_field(told.seed, durable=told.durable) as field:
        for _ in range(STORMS_ON_A_FIELD):
            seed = told.seed * 1_000_000 + POINTS.index(point) * 10_000 + len(series.seeds)
            outcome = await rage(field, failing(point, action), seed=seed, messages=told.storm_size, patience=2)
            series.add(outcome)
            series.save(told.resume)
            sys.stdout.write(series.line + "\n")
            sys.stdout.flush()
            if outcome.violations or _enough(series, told.messages, told.storm_size):
                break  # what is broken stays broken on this field: the next storm gets a new one
    return _enough(series, told.messages, told.storm_size)


def _enough(series: Series, messages: int, size: int) -> bool:
    storms = -(-messages // size)
    return series.messages >= messages or len(series.seeds) >= storms * TRIES


if __name__ == "__main__":
    sys.exit(asyncio.run(_run(_arguments())))
