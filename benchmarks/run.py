"""Runs the benchmarks: `python -m benchmarks.run [P1 P3 …] [--publish]`."""

import argparse
import importlib
import os
import sys
import time

import uvloop

from benchmarks import machine, report
from benchmarks.measure import Report, Scale

BENCHMARKS = {
    "P1": "acknowledge",
    "P2": "batches",
    "P3": "reply",
    "P5": "first_token",
    "P6": "failover",
    "P7": "pickup",
    "P8": "exports",
    "P10": "lists",
    "P11": "row_level_security",
    "P12": "statistics",
    "P13": "streams",
    "P15": "cold_start",
    "P16": "recovery",
    "P17": "neighbour",
    "P18": "retrieval",
    "P19": "anonymise",
    "P20": "ratings",
    "P21": "ledger",
}


def main() -> int:
    """0 when everything ran, whatever the figures: a missed target is told, not failed."""
    parser = argparse.ArgumentParser(description="Measures Switchboard against what the same work costs without it.")
    parser.add_argument("benchmarks", nargs="*", metavar="P", help=f"which: {' '.join(BENCHMARKS)}; all if none")
    parser.add_argument("--rounds", type=int, default=5, help="times every side is measured (5)")
    parser.add_argument("--seconds", type=float, default=3.0, help="how long each time (3)")
    parser.add_argument("--smoke", action="store_true", help="as little as shows that they still work")
    parser.add_argument("--publish", action="store_true", help="write docs/performance.md and its plot as well")
    told = parser.parse_args()
    if unknown := [name for name in told.benchmarks if name not in BENCHMARKS]:
        parser.error(f"there is no {' '.join(unknown)}")
    scale = Scale(told.rounds, told.seconds, int(os.environ.get("SCALE", "10000000")))
    if told.smoke:
        scale = Scale(rounds=1, seconds=0.2, messages=2_000, smoke=True)
    for name in told.benchmarks or BENCHMARKS:
        began = time.monotonic()
        facts = machine.facts()
        found: Report = uvloop.run(importlib.import_module(f"benchmarks.{BENCHMARKS[name]}").run(scale))
        sys.stdout.write(f"{report.markdown(found, facts)}\n\n({time.monotonic() - began:.0f} s)\n\n")
        sys.stdout.flush()
        if not scale.smoke:
            report.keep(found, facts)
    if told.publish:
        report.publish()
    return 0


if __name__ == "__main__":
    sys.exit(main())
