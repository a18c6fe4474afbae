"""Plots of the results: horizontal bars in SVG, ours beside floor, limit and peers. No library."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape

from .harness import Row, number, span

WIDTH, LABEL, BARS, BAR, HEADING, MARGIN = 820, 250, 440, 18, 30, 16
OURS, OTHERS, REFERENCE = "#1f6feb", "#9aa4af", "#d0d7de"
REFERENCES = ("floor", "limit", "bare", "hit", "a hit", "JSON", "models", "httpx and hishel", "`httpx")
TEXT, FAINT = "#1f2328", "#656d76"


@dataclass(frozen=True)
class Plot:
    """One picture: the groups of bars whose headings start so."""

    title: str
    starts: tuple[str, ...]
    log: bool = False


PLOTS: Mapping[str, Plot] = {
    "hits": Plot("A hit", ("hit, `httpx.", "hit inside"), log=True),
    "lookups": Plot("A hit before a request is built", ("`CacheClient.get`", "`AsyncCacheClient.get`"), log=True),
    "wats": Plot("Warm calls of pyWATS", ("warm ",), log=True),
    "concurrency": Plot("Eight threads, a thousand tasks", ("a call of 8 threads", "loop busy"), log=True),
    "stampede": Plot("Requests that 50 callers of a cold key cost the server", ("50 cold callers",)),
    "scenarios": Plot("The three scenarios, server at 20 ms", ("100 GETs", "the same by", "80/20")),
    "staleness": Plot("Past its TTL", ("stale answer", "expired answer", "server away"), log=True),
    "growth": Plot("What a full cache costs", ("insert with eviction", "PUT that", "what a write adds", "`invalidate")),
    "memory": Plot("Memory", ("an entry of",)),
}


@dataclass
class Group:
    """Bars under one heading."""

    unit: str
    values: dict[str, float] = field(default_factory=dict)
    mine: set[str] = field(default_factory=set)


def draw(rows: Iterable[Row]) -> dict[str, str]:
    """Return the pictures by name; one of which nothing was measured is left out."""
    groups: dict[str, Group] = {}
    for row in rows:
        found = row.detail.get("bars")
        if found:
            group = groups.setdefault(found["group"], Group(found["unit"]))
            group.values.update(found["values"])
            group.mine.update(found["mine"])
    pictures = {}
    for name, plot in PLOTS.items():
        chosen = {heading: group for heading, group in groups.items() if heading.startswith(plot.starts)}
        if chosen:
            pictures[name] = _picture(plot, chosen)
    return pictures


def _picture(plot: Plot, groups: Mapping[str, Group]) -> str:
    values = [value for group in groups.values() for value in group.values.values() if value > 0]
    log = plot.log or max(values) > 100 * min(values)
    scale = _Scale(values, log=log)
    height = 2 * MARGIN + 30 + sum(HEADING + BAR * len(group.values) for group in groups.values())
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" '
        f'viewBox="0 0 {WIDTH} {height}" font-family="system-ui, sans-serif" font-size="12" role="img">',
        f"<title>{escape(plot.title)}</title>",
        f'<rect width="{WIDTH}" height="{height}" rx="6" fill="#ffffff"/>',
        _text(MARGIN, MARGIN + 12, plot.title, size=15, weight="bold"),
        _text(WIDTH - MARGIN, MARGIN + 12, f"{'logarithmic; ' if log else ''}shorter is better", FAINT, anchor="end"),
    ]
    top = MARGIN + 30
    left = MARGIN + LABEL
    parts += [
        f'<line x1="{left + x:.1f}" y1="{top}" x2="{left + x:.1f}" y2="{height - MARGIN}" stroke="#eaeef2"/>'
        for x in scale.grid()
    ]
    for heading, group in groups.items():
        parts.append(_text(MARGIN, top + 20, heading.replace("`", ""), weight="600"))
        top += HEADING
        for name, value in sorted(group.values.items(), key=lambda item: item[1]):
            parts += _bar(top, name, value, group, scale)
            top += BAR
    return "\n".join([*parts, "</svg>"]) + "\n"


def _bar(top: int, name: str, value: float, group: Group, scale: _Scale) -> list[str]:
    left = MARGIN + LABEL
    mine = name in group.mine
    colour = OURS if mine else REFERENCE if name.startswith(REFERENCES) else OTHERS
    length = scale.length(value)
    return [
        _text(left - 8, top + 13, name.replace("`", ""), anchor="end", weight="600" if mine else "normal"),
        f'<rect x="{left}" y="{top + 3}" width="{length:.1f}" height="{BAR - 5}" rx="2" fill="{colour}"/>',
        _text(left + length + 6, top + 13, _value(value, group.unit), TEXT if mine else FAINT),
    ]


def _value(value: float, unit: str) -> str:
    if unit == "s":
        return span(value)
    if unit == "B":
        return f"{number(value / 1024)} KB"
    return f"{value:.0f} {unit}"


class _Scale:
    """From a value to the length of its bar in pixels."""

    def __init__(self, values: Sequence[float], *, log: bool) -> None:
        self._log = log
        self._most = max(values)
        self._least = 10.0 ** math.floor(math.log10(min(values)) - 0.3) if log else 0.0

    def length(self, value: float) -> float:
        if not self._log:
            return BARS * value / self._most
        if value <= self._least:
            return 1.0
        return BARS * math.log(value / self._least) / math.log(self._most / self._least)

    def grid(self) -> list[float]:
        """Return where the lines are: at each power of ten, or at 0."""
        if not self._log:
            return [0.0]
        decades = math.floor(math.log10(self._most / self._least) + 1e-9)
        return [self.length(self._least * 10.0**i) if i else 0.0 for i in range(decades + 1)]


def _text(
    x: float, y: float, text: str, fill: str = TEXT, *, size: int = 12, weight: str = "normal", anchor: str = "start"
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y}" fill="{fill}" font-size="{size}" font-weight="{weight}" text-anchor="{anchor}">'
        f"{escape(text)}</text>"
    )
