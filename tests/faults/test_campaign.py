"""The campaign itself: it goes on where it was stopped, and a storm can be had again by its seed."""

import asyncio
import json
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from faults import campaign
from faults.evidence import read_lines
from faults.field import open_field
from faults.plan import Plan
from faults.points import failing
from faults.report import BEGIN, END
from faults.storm import rage

pytestmark = [
    pytest.mark.xdist_group("faults-campaign"),
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(300),  # each opens several installations, one after the other
]

TOLD = ["--point", "mid_stream", "--point", "during_send", "--signal", "kill9", "--storm-size", "50"]


async def test_stopped_and_resumed(tmp_path: Path) -> None:
    told = [*TOLD, "--messages", "100", "--resume", str(tmp_path / "campaign")]
    series = tmp_path / "campaign" / "mid_stream-kill9.json"
    await interrupted(told, series)
    (first,) = json.loads(series.read_text())["seeds"]
    page = tmp_path / "page.md"
    page.write_text(f"before {BEGIN} the old table {END} after")
    assert await campaign.run([*told, "--fields", "2", "--publish", str(page)]) == 0
    shown = json.loads(series.read_text())
    assert shown["seeds"] == list(range(first, first + len(shown["seeds"])))
    assert (shown["messages"], shown["lost"], shown["doubles"], shown["violations"]) == (100, 0, 0, [])
    assert shown["falls"] >= shown["storms"] == 2
    table = page.read_text()
    assert table.startswith(f"before {BEGIN}\n4 storms, ")
    assert table.count("| `mid_stream` | kill9 | 2 |") == table.count("| `during_send` | kill9 | 2 |") == 1
    assert "old table" not in table
    assert len(json.loads(page.with_suffix(".json").read_text())) == 2
    assert await campaign.run(told) == 0
    assert json.loads(series.read_text()) == shown, "what is done is not done again"


async def interrupted(told: list[str], series: Path) -> None:
    """The campaign as a program, stopped as by Ctrl-C when it has shown something."""
    command = [sys.executable, campaign.__file__, *told]
    program = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.DEVNULL)
    async with asyncio.timeout(200):
        while not list(series.parent.glob(series.name)):
            assert program.returncode is None
            await asyncio.sleep(0.02)
        program.send_signal(signal.SIGINT)
        await program.wait()


async def test_a_seed_is_a_storm() -> None:
    """Two fields, one seed: the same words by the same customers in the same order, the same doors, the same harm."""
    first, second = [await told_by(4711) for _ in range(2)]
    for name in ("plan", "doors"):
        assert first[name] == second[name], name
    both = min(len(first["armed"]), len(second["armed"]))
    assert both
    assert first["armed"][:both] == second["armed"][:both], "how often there is time for it is not the seed's to say"


async def told_by(seed: int) -> dict[str, Any]:
    """What the history of a storm says that does not hang on how fast the machine is."""
    async with open_field(1, working=()) as field:
        (await rage(field, failing("mid_stream", "kill9", most=2), seed=seed, messages=30, patience=2)).raise_if_wrong()
        lines = read_lines(field.folder / f"s{seed}-1-history.jsonl")
        doors: dict[str, int] = {}
        plan: dict[str, list[str]] = {}
        for line in lines:
            if line["op"] == "webhook" and line["type"] == "invoke" and line["key"] not in doors:
                doors[line["key"]] = field.fleet.addresses.index(line["to"])
                plan.setdefault(line["key"].partition("-mid")[0], []).append(line["key"])
        sent = {customer: sorted(own) for customer, own in plan.items()}
        armed = [(line["key"], line["action"], line["count"]) for line in lines if line["op"] == "arm"]
        return {"plan": sent, "doors": doors, "armed": armed}


async def test_a_plan_is_its_seed() -> None:
    drawn = [Plan.draw(seed, prefix="s1-1-", messages=200) for seed in (5, 5, 6)]
    assert drawn[0] == drawn[1]
    assert list(drawn[0].mids) == list(drawn[1].mids)
    assert drawn[0] != drawn[2]
