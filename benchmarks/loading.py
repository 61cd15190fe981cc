"""Starts the load generator and reads what it measured."""

import asyncio
import itertools
import json
import sys
from dataclasses import asdict, replace

from benchmarks import ROOT
from benchmarks.load import Outcome, Plan
from benchmarks.measure import Figures, percentile

_numbers = itertools.count()


async def load(plan: Plan) -> Outcome:
    """Carries out a plan in a process of its own. Raises `RuntimeError` when it fails or nothing was answered."""
    marked = replace(plan, mark=f"{plan.mark}{next(_numbers)}_")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.load"),
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        out, _ = await process.communicate(json.dumps(asdict(marked)).encode())
    finally:
        if process.returncode is None:
            process.kill()
    if process.returncode:
        raise RuntimeError(f"the load generator ended with {process.returncode}")
    outcome = Outcome(**json.loads(out))
    if not outcome.latencies:
        raise RuntimeError(f"nothing was answered with 200: {outcome.refused} refused, {outcome.broken} broken")
    return outcome


def figures(outcome: Outcome) -> Figures:
    """What is told of a load: requests a second, milliseconds, and the generator's share of a core."""
    return {
        "rate": outcome.answered / outcome.seconds,
        "p50": percentile(outcome.latencies, 0.5),
        "p99": percentile(outcome.latencies, 0.99),
        "generator": outcome.cpu,
        "failed": outcome.refused + outcome.broken,
    }
