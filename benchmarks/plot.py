"""The plot of P1 as an SVG: what is answered, and how long the slowest wait, over what is offered."""

import math
from collections.abc import Sequence

WIDTH, HEIGHT, LEFT, TOP, GAP = 420, 260, 70, 40, 90
COLOURS = {"bare": "#888888", "switchboard": "#1f6feb"}
_TICKS = 5


def draw(series: dict[str, list[list[float]]]) -> str:
    """``series``: name -> [offered, answered a second, p99 in milliseconds] for each step."""
    whole = 2 * (WIDTH + GAP) + LEFT
    rates = {name: [(step[0], step[1]) for step in steps] for name, steps in series.items()}
    waits = {name: [(step[0], step[2]) for step in steps] for name, steps in series.items()}
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {whole} {HEIGHT + TOP + 60}" font-family="sans-serif"'
        ' font-size="12">',
        f'<rect width="{whole}" height="{HEIGHT + TOP + 60}" fill="white"/>',
        _panel(rates, LEFT, "answered a second"),
        _panel(waits, LEFT + WIDTH + GAP, "99th percentile, ms (each power of ten a step)", logarithmic=True),
        *(_legend(name, place) for place, name in enumerate(series)),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _panel(series: dict[str, list[tuple[float, float]]], left: int, title: str, *, logarithmic: bool = False) -> str:
    points = [point for line in series.values() for point in line]
    most_x = max(x for x, _ in points)
    if logarithmic:
        low = math.floor(math.log10(max(min(y for _, y in points), 0.1)))
        high = max(low + 1, math.ceil(math.log10(max(y for _, y in points))))
        ticks = [10.0**power for power in range(low, high + 1)]
    else:
        low, high = 0, _round_up(max(max(y for _, y in points), most_x))
        ticks = [high * number / _TICKS for number in range(_TICKS + 1)]

    def across(x: float) -> float:
        return left + x / most_x * WIDTH

    def up(y: float) -> float:
        place = math.log10(max(y, 10.0**low)) if logarithmic else y
        return TOP + HEIGHT - (place - low) / (high - low) * HEIGHT

    parts = [f'<text x="{left}" y="{TOP - 15}" font-weight="bold">{title}</text>']
    for tick in ticks:
        parts.append(
            f'<line x1="{left}" x2="{left + WIDTH}" y1="{up(tick):.1f}" y2="{up(tick):.1f}" stroke="#dddddd"/>'
        )
        parts.append(f'<text x="{left - 6}" y="{up(tick) + 4:.1f}" text-anchor="end">{tick:,g}</text>')
    for x in sorted({x for x, _ in points}):
        parts.append(f'<text x="{across(x):.1f}" y="{TOP + HEIGHT + 18}" text-anchor="middle">{x:,g}</text>')
    parts.append(
        f'<text x="{left + WIDTH / 2}" y="{TOP + HEIGHT + 38}" text-anchor="middle">webhooks offered a second</text>'
    )
    parts += [_line(name, [(across(x), up(y)) for x, y in line]) for name, line in series.items()]
    return "\n".join(parts)


def _line(name: str, points: Sequence[tuple[float, float]]) -> str:
    colour = COLOURS.get(name, "black")
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    dots = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in points)
    return f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>{dots}'


def _legend(name: str, place: int) -> str:
    x, y = LEFT + 12, TOP + 16 + 18 * place
    colour = COLOURS.get(name, "black")
    return f'<rect x="{x}" y="{y - 9}" width="10" height="10" fill="{colour}"/><text x="{x + 16}" y="{y}">{name}</text>'


def _round_up(number: float) -> float:
    step = 1.0
    while step * 10 <= number:
        step *= 10
    return -(-number // step) * step
