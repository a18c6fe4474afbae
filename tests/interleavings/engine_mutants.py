"""The engine with one rule taken out, so that each check is seen to be able to fail.

A mutant is a method or function whose source has one passage replaced. When the source changes so that the passage is
not there any more, the mutant says so: rewrite it together with the rule.
"""

from __future__ import annotations
import __future__

import inspect
import re
import sys
import textwrap
from typing import Any

import pytest

from pywats_cache.coherence.epochs import Coherence
from pywats_cache.coherence.single_flight import Flight, FlightTable
from pywats_cache.engine import judging
from pywats_cache.engine.classify import Preparer
from pywats_cache.engine.engine import Engine
from pywats_cache.engine.incoming import Incoming
from pywats_cache.engine.judging import View
from pywats_cache.storage.bounded_table import BoundedTable
from pywats_cache.storage.memory import MemoryStorage
from pywats_cache.storage.sweep import Sweep
from pywats_cache.transport.sync import SyncCache

Replacement = tuple[str, str]

NO_LOCK = (r"with (self\.)?(storage\.)?_?lock:", "if True:")

# Where, in which method or function, and what takes the place of what; then perhaps the same of another place.
MUTANTS: dict[str, tuple[Any, ...]] = {
    "the fence is off: an entry is dated with the epoch at its finish": (
        Engine,
        "_store",
        [(r"(key, names = .*)", r"\1\n    fetch.flight.epoch = fetch.flight.clean_at = self.storage.coherence.epoch")],
    ),
    "the epoch is published before the table is written": (
        Coherence,
        "bump",
        [
            (r"self\._note\(tags, epoch\)", "self._PUBLISH(epoch)"),
            (r"self\._publish\(epoch\)", "self._note(tags, epoch)"),
            (r"_PUBLISH", "_publish"),
        ],
    ),
    "a check stamps an epoch that it read after the table": (
        Engine,
        "found_fresh",
        [(r"self\.note_valid\(entry, epoch\)", "self.note_valid(entry, self.storage.coherence.epoch)")],
    ),
    "a verdict's epoch is read after the table": (
        Engine,
        "_done",
        [(r"self\.note_valid\(entry, view\.epoch\)", "self.note_valid(entry, self.storage.coherence.epoch)")],
    ),
    "what an outer storage has is stamped with an epoch that was read after the table": (
        Engine,
        "_glanced",
        [(r"self\.note_valid\(entry, view\.epoch\)", "self.note_valid(entry, self.storage.coherence.epoch)")],
    ),
    "what an outer storage has answers whatever is dirtied": (
        Engine,
        "_glanced",
        [(r"if verdict\.action .*:", "if False:")],
    ),
    "a read joins a flight that began before a write": (
        judging,
        "judge",
        [(r"elif view\.may_join\(flight\):", "else:")],
    ),
    "a finish takes another's flight out of the table": (
        FlightTable,
        "remove",
        [(r"if self\.open\.get\(flight\.key\) is flight:", "if flight.key in self.open:")],
    ),
    "a finish overwrites an entry whose fetch began later": (
        MemoryStorage,
        "put",
        [(r"if there is not None and .*:", "if False:")],
    ),
    "a finish does not look whether a write came in between": (
        Engine,
        "_keep",
        [
            (r"elif storage\.coherence\.is_dirtied\(.*\):", "elif False:"),
            (r"entry\.clean_at, entry\.firm_at = .*", "entry.clean_at = entry.valid_at = storage.coherence.epoch"),
        ],
    ),
    "a bump comes after the answer is visible": (
        Engine,
        "forwarded",
        [(r"self\._wrote\((.*)\)\n", r"_after.append(lambda: self._wrote(\1))\n")],
    ),
    "a write of unknown outcome dirties nothing": (Engine, "forward_failed", [(r"self\._wrote\(.*\)", "pass")]),
    "a write of unknown outcome opens no settle window": (
        Engine,
        "_wrote",
        [(r"coherence\.settle\(.*\)", "pass")],
    ),
    "a write settles after its bump": (
        Engine,
        "_wrote",
        [
            (r"forward\.dirtied = coherence\.bump\(tags\)", "pass"),
            (r"( *)if settle:", r"\1coherence.bump(tags)\n\1if settle:"),
        ],
    ),
    "a write dirties its path but not its collection": (
        Engine,
        "_wrote",
        [(r"coherence\.bump\(tags\)", "coherence.bump(tags[:1])")],
    ),
    "a fold forgets tags before it raises the floor": (
        Coherence,
        "_compact_table",
        [
            (r"raise_floor\(change\.floor\)", "pass"),
            (r"(self\._count_floors\(.*)", r"raise_floor(change.floor or 0)\n    \1"),
        ],
    ),
    "a check reads the floor before the tags": (
        Coherence,
        "last_dirtied",
        [
            (r"floor = self\._floor", "pass"),
            (r"(dirtied = self\._dirtied)", r"floor = self._floor\n    \1"),
        ],
    ),
    "a compaction forgets tags before it sets those of subtrees": (
        Coherence,
        "_compact_table",
        [
            (r"table\.update\(change\.set\)", "pass"),
            (r"(self\._count_floors\(.*)", r"table.update(change.set)\n    \1"),
        ],
    ),
    "a check asks for a subtree before what is below it": (
        Coherence,
        "last_dirtied",
        [(r"\n    for tag in tags:", "\n    for tag in reversed(tags):")],
    ),
    "a check asks for bundles by what it read before the tags": (
        Coherence,
        "last_dirtied",
        [
            (r"if self\._has_bundles:", "if bundled:"),
            (r"(dirtied = self\._dirtied)", r"bundled = self._has_bundles\n    \1"),
        ],
    ),
    "a compaction forgets tags before it says that there are bundles": (
        Coherence,
        "_compact_table",
        [
            (r"if change\.told is not None:", "if False:"),
            (r"(self\._count_floors\(.*)", r"self._has_bundles = True\n    \1"),
        ],
    ),
    "a sweep forgets before it raises the floor": (
        Coherence,
        "forget",
        [
            (r"self\._floor = max\(self\._floor, horizon\)", "pass"),
            (r"(self\._aside, self\._soft_aside = .*)", r"\1\n        self._floor = max(self._floor, horizon)"),
        ],
    ),
    "a sweep forgets before it has marked all": (
        Sweep,
        "_look",
        [(r"if not left:", "if True:")],
        (Sweep, "_pay", [(r"LEAST \+ SHARE \* tags", "0")]),
    ),
    "a sweep marks what was dirtied": (
        Coherence,
        "mark",
        [(r"if self\.last_dirtied\(held\.tags\) > held\.clean_at:", "if False:")],
    ),
    "a sweep marks with the epoch of the moment": (
        Coherence,
        "mark",
        [(r"held\.clean_at = horizon", "held.clean_at = self.epoch")],
    ),
    "a sweep makes firm what was softened": (
        Coherence,
        "mark",
        [(r"if self\.last_softened\(held\.tags\) <= held\.firm_at < horizon:", "if True:")],
    ),
    "a sweep does not mark open flights": (
        Sweep,
        "_begin",
        [(r"storage\.coherence\.mark\(flight, horizon\)", "pass")],
    ),
    "a sweep does not mark what a fetch may fall back on": (
        Sweep,
        "_begin",
        [(r"storage\.coherence\.mark\(flight\.stale, horizon\)", "pass")],
    ),
    "a sweep overlooks what is stored meanwhile": (
        Sweep,
        "stored",
        [(r"if self\.is_open:", "if False:")],
        (Engine, "_keep", [(r"entry\.clean_at, entry\.firm_at = .*", "pass")]),  # else it carries the flight's mark
    ),
    "a new table is begun before the old one is put aside": (
        Coherence,
        "put_aside",
        [
            (r"self\._aside = self\._dirtied", "aside = self._dirtied"),
            (r"(self\._dirtied, self\._softened = .*)", r"\1\n        self._aside = aside"),
        ],
    ),
    "a check reads what was put aside before the new table": (
        Coherence,
        "last_dirtied",
        [
            (r"aside = self\._aside", "pass"),
            (r"(dirtied = self\._dirtied)", r"aside = self._aside\n    \1"),
        ],
    ),
    "a check reads the mark before the table": (
        Coherence,
        "is_dirtied",
        [
            (r"if self\.last_dirtied\(held\.tags\) > held\.clean_at:", "CHECK"),
            (r"CHECK.*", "clean_at = held.clean_at\n    if self.last_dirtied(held.tags) > clean_at:"),
        ],
    ),
    "a flight older than the horizon is stored": (
        Engine,
        "_keep",
        [(r"elif storage\.coherence\.is_dirtied\(flight\):", "elif not flight.shared and False:")],
        (
            Engine,
            "_entry",
            [(r"(flight, prepared = .*)", r"\1\n    flight.clean_at = self.storage.coherence.epoch")],
        ),
    ),
    "a tag is taken out before it is set": (
        Coherence,
        "_note",
        [(r"(self\._dirtied\[tag\] = epoch)", r"self._dirtied.pop(tag, None)\n        \1")],
    ),
    "a clear dirties after it forgot": (
        MemoryStorage,
        "clear",
        [(r"self\.coherence\.bump_all\(\)", "pass")],
    ),
    "a failed leader does not wake its joiners": (
        Engine,
        "failed",
        [(r"self\._land\(fetch\.flight, Landing\.FAILED\)", "self.storage.flights.remove(fetch.flight)")],
    ),
    "a body closed early does not wake the joiners": (
        Incoming,
        "close",
        [(r"self\._engine\.failed\(self\.fetch\)", "self._engine.storage.flights.remove(self.fetch.flight)")],
    ),
    "a body that is whole lands after its last chunk": (
        Incoming,
        "add",
        [(r"self\._received \+= len\(chunk\)", r"self._received += len(chunk) + 1")],
    ),
    "a joiner never leaves": (FlightTable, "must_leave", [(r"return flight\.leave_at\(now\) <= now", "return False")]),
    "who leaves a flight shares no other": (Engine, "rejoin", [(r" and not join\.has_left", " and False")]),
    "a cancelled joiner is not counted": (Engine, "left", [(r"self\.counters\.miss \+= 1", "pass")]),
    "an uncacheable answer does not wake the joiners": (
        Engine,
        "release",
        [(r"self\._land\(fetch\.flight, Landing\.UNCACHEABLE\)", "self.storage.flights.remove(fetch.flight)")],
    ),
    "what breaks off before a fetch is sent leaves its flight open": (
        Engine,
        "_cold",
        [(r"self\.abandoned\(request\)", "pass")],
    ),
    "a flight that failed stays in the table": (
        Engine,
        "_land",
        [(r"self\.storage\.flights\.remove\(flight\)", "pass")],
    ),
    "nobody joins": (judging, "judge", [(r"flight = view\.flight", "flight = None")]),
    "a joiner takes an answer without looking at Vary": (
        Engine,
        "_brought",
        [(r" and entry\.key == self\.variant\(join\.request, prepared\.key\):", ":")],
    ),
    "the key leaves out the partition": (
        Preparer,
        "_key",
        [(r"(entry_key\([^\n]*), partition, representation\)", r"\1, representation)")],
    ),
    "joining or opening a flight takes no lock": (Engine, "_looked", [NO_LOCK]),
    "an answer is stored after its flight has left the table": (
        Engine,
        "_keep",
        [(r"with storage\.lock:", "storage.flights.remove(flight)\n    if True:")],
    ),
    "landing and waiting share no lock": (Flight, "on_landing", [NO_LOCK]),
    "BoundedTable.put takes no lock": (BoundedTable, "put", [NO_LOCK]),
    "BoundedTable.grow takes no lock": (BoundedTable, "grow", [NO_LOCK]),
    "BoundedTable.put evicts after it inserted": (
        BoundedTable,
        "put",
        [
            (r"(        try:)", r"        items[key] = item\n\1"),
            (r"while items and ", "while len(items) > 1 and "),
            (r"len\(items\) >= self\.max_entries", "len(items) > self.max_entries"),
        ],
    ),
    "a hit takes no lock": (Engine, "begin", [NO_LOCK]),
    "a lookup takes no lock": (Engine, "touch", [NO_LOCK]),
    "a flight is dated after the settle window was asked": (
        View,
        "__init__",
        [
            (r"self\.epoch: int = coherence\.epoch", "ASK"),
            (r"(flights = storage\.flights)", r"self.epoch = coherence.epoch\n    \1"),
            (r"ASK", "pass"),
        ],
    ),
    "the window of all is asked before those of the tags": (
        Coherence,
        "is_settling",
        [
            (
                r"settling = self\._settling\n",
                "if now < self._settle_all:\n        return True\n    settling = self._settling\n",
            ),
            (r"return now < self\._settle_all", "return False"),
        ],
    ),
    "a flight is joined although its own tags were dirtied": (
        View,
        "may_join",
        [
            (
                r"\.is_dirtied\(flight, self\._prepared\.tags\)",
                ".dirtied_since(self._prepared.tags, flight.epoch)",
            )
        ],
    ),
    "a lookup joins a flight that began before a write": (
        View,
        "may_join",
        [(r"not self\._storage\.coherence\.is_dirtied\(.*\)", "True")],
    ),
    "a lookup waits for itself": (
        judging,
        "judge",
        [(r"if flight\.is_held_by\(view\.who\(\)\):", "if False:")],
    ),
    "a lookup that waited is not counted": (Engine, "rejoin_lookup", [(r"self\._count\(status\)", "pass")]),
    "a lookup that waited does not count as one": (
        Engine,
        "rejoin_lookup",
        [(r"self\.counters\.lookups \+= 1", "pass")],
    ),
    "a cancelled lookup does not count as one": (Engine, "left", [(r"self\.counters\.lookups \+= .*", "pass")]),
    "a joiner takes an answer that is past its TTL": (
        Engine,
        "_brought",
        [(r"self\.may_share\(entry, prepared, age\) and ", "")],
    ),
    "a lookup that waited is answered whatever became of its client": (
        Engine,
        "rejoin_lookup",
        [(r" if join\.lookup\(\) else None", "")],
    ),
    "a lookup that waited in vain may wait as long again": (
        Engine,
        "_looked",
        [(r"request\.extensions\.get\(DEADLINE\) or ", "")],
    ),
    "a verdict stands although a write came": (
        Engine,
        "missed_lookup",
        [(r"\n +and standing\[2\] == storage\.coherence\.epoch", "")],
    ),
    "a stale lookup is not counted": (Engine, "missed_lookup", [(r"self\.counters\.stale \+= 1", "pass")]),
    "each stale answer starts a refresh": (
        judging,
        "judge",
        [(r" and not view\.is_fetched", "")],
    ),
    "a refresh that failed is tried again at once": (
        judging,
        "_may_refresh",
        [(r"\n +or not semantics\.may_refresh\(view\.key, view\.now\)", "")],
    ),
    "what a write has dirtied is served stale": (
        Engine,
        "may_serve_stale",
        [(r"or not coherence\.is_dirtied\(.*\)", "or True")],
        (judging, "judge", [(r"if not drops:", "if True:")]),  # which asks before
    ),
    "a refresh validates what a write has dirtied": (
        Engine,
        "_ask_about",
        [(r"if not self\.storage\.coherence\.is_dirtied\(.*\):", "if True:")],
    ),
    "a lookup asks for a flight without the lock": (
        Engine,
        "missed_lookup",
        [NO_LOCK],
    ),
    "a lookup that waited is counted without the lock": (Engine, "rejoin_lookup", [NO_LOCK]),
    "a refresh is started without the lock": (Engine, "_ahead", [NO_LOCK]),
    "the transport dirties when nobody can tell any more": (
        SyncCache,
        "_forward",
        [(r"self\._engine\.with_news\(self\._engine\.forwarded, forward, response\)", "None")],
    ),
}

_after: list[Any] = []


Planted = tuple[Any, str, Any, str, list[Replacement]]


def _found(place: Any, method: str, replacements: list[Replacement], *more: Any) -> list[Planted]:
    owner = next(c for c in getattr(place, "__mro__", [place]) if method in c.__dict__)  # a module has no bases
    function = owner.__dict__[method]
    found = (owner, method, function, textwrap.dedent(inspect.getsource(function)), replacements)
    return [found, *(one for another in more for one in _found(*another))]


# Read once, with the import of the code: somebody may edit it while the tests run.
_SOURCES = {name: _found(*mutant) for name, mutant in MUTANTS.items()}


def plant(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Make the product the mutant `name`."""
    for owner, method, function, source, replacements in _SOURCES[name]:
        for old, new in replacements:
            source, count = re.subn(old, new, source)
            assert count == 1, f"{owner.__name__}.{method} has {count} passages like {old!r}: rewrite this mutant"
        module = sys.modules[function.__module__]
        made: dict[str, Any] = {}
        flags = __future__.annotations.compiler_flag
        exec(compile(source, inspect.getfile(function), "exec", flags, dont_inherit=True), module.__dict__, made)
        if owner is module:
            monkeypatch.setattr(function, "__code__", made[method].__code__)  # others have imported it by its name
        else:
            monkeypatch.setattr(owner, method, made[method])
        if "_after" in source:
            _after.clear()
            monkeypatch.setattr(module, "_after", _after, raising=False)


def late_bumps() -> list[Any]:
    """What the mutant "a bump comes after the answer is visible" has put off."""
    return _after
