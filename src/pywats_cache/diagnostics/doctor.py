"""What makes a whole cache useless, in words."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..support.switch import DISABLED_VARIABLE
from ..telemetry.miss_patterns import MAX_VALUES

if TYPE_CHECKING:
    from ..engine.engine import Engine
    from ..telemetry.outcome import Reason

__all__ = ["Finding", "findings"]

ENOUGH = 20
"""Requests before a judgement is made of them."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that makes a cache useless, in words. `code` is stable, `text` is for people."""

    __module__ = "pywats_cache"

    code: str
    text: str

    def __str__(self) -> str:
        return self.text


_NOT_STORED: dict[Reason, str] = {
    "no-store": "the answers say Cache-Control: no-store (a rule with ignore_no_store=True stores them nevertheless)",
    "set-cookie": "the answers set a cookie",
    "vary-any": "the answers say Vary: *",
    "status": "the answers have a status code that no rule stores",
    "too-large": "the answers are larger than max_entry_bytes",
    "stream": "the answers are event streams",
    "empty": "the answers are empty or null",
    "incomplete": "the bodies are not read to the end",
    "settling": "writes keep their tags in a settle window",
    "overtaken": "writes to the same tags come in between",
}


def findings(engine: Engine) -> list[Finding]:
    """What the statistics so far say is wrong, the worst first; [] if nothing is."""
    stats, diary = engine.stats, engine.diary
    with engine.storage.lock:
        reasons = Counter(diary.reasons)
        values = {key: (seen, len(known)) for key, (seen, known) in diary.values.items()}
        gaps = dict(diary.gaps)
    found: list[Finding] = []
    trouble = engine.storage.trouble
    if engine.storage.coherence.is_out_of_reach:
        found.append(Finding("storage-error", f"the shared storage does not answer, so nothing is stored: {trouble}"))
    if stats.storage_errors:
        text = f"the outer storage failed {stats.storage_errors} times"
        found.append(Finding("storage-errors", f"{text}, at last: {trouble}" if trouble else text))
    found += [Finding(code, text) for code, text in engine.storage.notices.items()]
    if engine.is_disabled:
        text = f"the cache is off: {DISABLED_VARIABLE} was set when this client was made, so nothing is read or stored"
        return [Finding("disabled", text), *found]
    requests = stats.requests
    if requests < ENOUGH:
        return found
    if stats.bypassed == requests:
        top = reasons.most_common(1)[0][0] if reasons else "rule-bypass"
        found.append(Finding("all-bypassed", f"all {requests} requests bypassed the cache, mostly: {top}"))
    fetched = stats.misses + stats.revalidated
    for reason, words in _NOT_STORED.items():
        count = reasons[reason]
        if count >= ENOUGH and count * 2 >= fetched:
            found.append(Finding(reason, f"{count} of {fetched} answers were not stored: {words}"))
    for (rule, name), (misses, different) in sorted(values.items()):
        if misses >= ENOUGH and different >= min(misses, MAX_VALUES) * 0.9:
            text = f"every query of rule {rule!r} differs: parameter {name!r} had {different} values in {misses} misses"
            found.append(Finding("unique-query", text + " (a time stamp? round it, or leave it out)"))
    for rule, (gap, ttl) in sorted(gaps.items()):
        if reasons["expired"] >= ENOUGH and gap > ttl and stats.hits * 2 < stats.misses:
            found.append(
                Finding(
                    "short-ttl", f"rule {rule!r} has a TTL of {ttl:g} s, shorter than the {gap:.0f} s between calls"
                )
            )
    if stats.evictions > stats.hits and stats.evictions >= ENOUGH:
        text = (
            f"{stats.evictions} evictions for {stats.hits} hits: more is asked for than fits (max_entries, max_bytes)"
        )
        found.append(Finding("too-small", text))
    if reasons["dirtied"] >= ENOUGH and reasons["dirtied"] * 2 >= fetched:
        found.append(Finding("dirtied", f"{reasons['dirtied']} of {fetched} misses came from writes to the same tags"))
    return found
