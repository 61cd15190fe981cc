"""How reports are shown, kept and published."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks import ROOT, machine
from benchmarks.measure import Report, Table

LATEST = ROOT / "benchmarks" / "results" / "latest.json"
PAGE = ROOT / "docs" / "performance.md"
BEGIN, END = "<!-- {} -->", "<!-- /{} -->"


def markdown(report: Report, facts: dict[str, Any]) -> str:
    """A section of the page."""
    parts = [f"### {report.id} {report.title}", report.compared]
    targets = Table(["target", "bound", "measured", ""], [target.cells() for target in report.targets])
    parts += [_table(table) for table in ([targets] if report.targets else []) + report.tables]
    if report.notes:
        parts.append("\n".join(f"- {note}" for note in report.notes))
    parts.append(f"*Measured {machine.told(facts)}*")
    return "\n\n".join(parts)


def keep(report: Report, facts: dict[str, Any]) -> None:
    """Puts a report into `latest.json`, in the place of the last of its id."""
    kept: dict[str, Any] = json.loads(LATEST.read_text()) if LATEST.exists() else {}
    targets = [asdict(target) | {"met": target.met} for target in report.targets]
    kept[report.id] = asdict(report) | {"targets": targets, "machine": facts, "text": markdown(report, facts)}
    ordered = dict(sorted(kept.items(), key=lambda each: int(each[0][1:])))
    LATEST.parent.mkdir(exist_ok=True)
    LATEST.write_text(json.dumps(ordered, indent=1, ensure_ascii=False) + "\n")


def publish(page: Path = PAGE) -> None:
    """Puts the sections, and a table of all targets, between the marks of the page; draws the plot beside it."""
    from benchmarks.plot import draw

    kept: dict[str, Any] = json.loads(LATEST.read_text())
    text = page.read_text()
    text = _between(text, "targets", _summary(kept))
    text = _between(text, "benchmarks", "\n\n".join(each["text"] for each in kept.values()))
    page.write_text(text)
    if plot := kept.get("P1", {}).get("plot"):
        page.with_suffix(".svg").write_text(draw(plot))


def _summary(kept: dict[str, Any]) -> str:
    rows: list[list[str]] = []
    for each in kept.values():
        for target in each["targets"]:
            spread = target["spread"]
            sign = "≥" if target["at_least"] else "≤"
            rows.append(
                [
                    each["id"],
                    target["what"],
                    f"{sign} {target['bound']:g} {target['unit']}",
                    f"{spread['median']:,.3g} {target['unit']}",
                    "met" if target["met"] else "**missed**",
                ]
            )
    return _table(Table(["", "what", "target", "measured", ""], rows))


def _between(text: str, name: str, new: str) -> str:
    """Raises `ValueError` for a page without the marks."""
    begin, end = BEGIN.format(name), END.format(name)
    before, found, rest = text.partition(begin)
    _, ended, after = rest.partition(end)
    if not (found and ended):
        raise ValueError(f"the page has no {begin} … {end}")
    return f"{before}{begin}\n{new}\n{end}{after}"


def _table(table: Table) -> str:
    lines = [table.head, ["---"] * len(table.head), *table.rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
