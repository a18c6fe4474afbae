"""Policies: how one is chosen, what it may count on, and what the storage promises whatever it does."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import hishel
import pytest

from pywats_cache import CacheOutcome, ConfigurationError, ConfigurationTypeError, MemoryStorage, TieredStorage
from pywats_cache.coherence.single_flight import Flight
from pywats_cache.diagnostics.snapshot import measure
from pywats_cache.storage.bounded_table import BoundedTable
from pywats_cache.storage.eviction import POLICIES, Policy, PolicyItems
from pywats_cache.storage.tinylfu import USES, WTinyLFU
from pywats_cache.storage.url import storage_from_url
from pywats_cache.testing import FakeClock

Make = Callable[..., Any]
Outcome = Callable[[Any], CacheOutcome]
LONG = 30  # seconds; a test that waits this long has failed


@dataclass(eq=False)
class Thing:
    size: int = 1


class FirstIn:
    """A policy as a user would write one: what came first goes first, whoever uses it."""

    def __init__(self) -> None:
        self.keys: OrderedDict[str, None] = OrderedDict()

    def used(self, key: str) -> None: ...

    def added(self, key: str) -> None:
        self.keys[key] = None

    def removed(self, key: str) -> None:
        self.keys.pop(key, None)

    def victim(self) -> str:
        return self.keys.popitem(last=False)[0]


class Liar(FirstIn):
    """Names keys that are not there, and believes at last that there are none."""

    def added(self, key: str) -> None:
        self.keys[key + " that is not there"] = None


def known(policy: Any) -> set[str]:
    """The keys that a W-TinyLFU believes to be there."""
    kept = policy._kept
    return {*kept.window, *kept.probation, *kept.protected}


# ── choosing one ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_without_a_choice_it_is_lru_without_anything_in_between() -> None:
    assert type(MemoryStorage().table.items) is OrderedDict
    assert type(MemoryStorage(policy="lru").table.items) is OrderedDict


def test_policies_are_chosen_by_name_class_and_function() -> None:
    for policy in ("w-tinylfu", WTinyLFU, partial(WTinyLFU), FirstIn):
        assert isinstance(MemoryStorage(policy=policy).table.items, PolicyItems)
    for made in POLICIES.values():
        assert made is None or isinstance(made(), Policy)


@pytest.mark.parametrize(
    ("policy", "kind", "message"),
    [
        ("lfu", ConfigurationError, "policy must be one of 'lru', 'w-tinylfu', not 'lfu'"),
        (None, ConfigurationTypeError, "policy must be one of .* a class or function .*, not None"),
        (5, ConfigurationTypeError, "not 5"),
        (dict, ConfigurationTypeError, "used, added, removed and victim, not <class 'dict'>"),
        (FirstIn(), ConfigurationTypeError, "a class or function that makes an object"),
    ],
)
def test_what_is_no_policy_is_refused(policy: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        MemoryStorage(policy=policy)


def test_a_url_names_a_policy() -> None:
    storage = storage_from_url("memory://?policy=w-tinylfu&max_entries=5")
    assert isinstance(storage, MemoryStorage)
    assert (storage.policy, storage.max_entries) == ("w-tinylfu", 5)
    for url in ("memory://?policy=fifo", "memory://?policy=lru&policy=lru", "sqlite:///c.db?policy=lru"):
        with pytest.raises(ConfigurationError, match="policy"):
            storage_from_url(url)


def test_a_repr_shows_another_policy() -> None:
    assert repr(MemoryStorage(policy="w-tinylfu")).endswith(", policy='w-tinylfu')")


# ── in the storage ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_policy_of_ones_own_decides(cached: Make, outcome: Outcome) -> None:
    client = cached(storage=MemoryStorage(max_entries=2, policy=FirstIn))
    for path in ("/a", "/b", "/a", "/c"):
        client.get(path)
    assert [outcome(client.get(path)).status for path in ("/c", "/b", "/a")] == ["hit", "hit", "miss"]


@pytest.mark.parametrize(("policy", "least", "most"), [("lru", 0, 0.0), ("w-tinylfu", 0.9, 1.0)])
def test_a_scan_takes_out_what_is_used_seldom_not_what_is_popular(
    cached: Make, outcome: Outcome, policy: str, least: float, most: float
) -> None:
    """Popular answers are asked for now and then while a long list is read through once."""
    client = cached(storage=MemoryStorage(max_entries=50, policy=policy))
    popular = [f"/popular/{n}" for n in range(30)]
    hits = []
    for n in range(300):
        for m in range(n > 90):
            client.get(f"/once/{n}/{m}")
            client.get(f"/again/{n}/{m}")
        hits.append(outcome(client.get(popular[n % 30])).status == "hit")
    assert least <= sum(hits[150:]) / 150 <= most


def test_what_is_stored_is_stored_even_if_the_policy_does_not_keep_it(cached: Make, outcome: Outcome) -> None:
    """Nothing is turned away at the door: a newcomer of no promise goes with the next one, counted as evicted."""
    client = cached(storage=MemoryStorage(max_entries=10, policy="w-tinylfu"))
    for _ in range(3):
        for n in range(10):
            client.get(f"/popular/{n}")
    evicted = client.cache.stats.evictions
    for n in range(20):
        first = outcome(client.get(f"/once/{n}"))
        assert (first.status, first.stored) == ("miss", True)
        assert client.cache.storage.find(str(first.key)) is not None
        assert outcome(client.get(f"/once/{n}")).status == "hit"
        evicted += 1
        assert client.cache.stats.evictions == evicted
    assert measure(client.cache._engine).evictions == {"entries": evicted, "bytes": 0}
    assert client.cache.stats.stores == client.cache.stats.entries + evicted


def test_bytes_are_evicted_by_the_policy_too() -> None:
    table = BoundedTable(1000, 100, PolicyItems[Thing](WTinyLFU()))
    for n in range(10):
        table.put(f"popular {n}", Thing(8))
        table.items.move_to_end(f"popular {n}")
    table.put("large", Thing(60))
    assert table.items["large"].size == 60
    assert table.size_bytes <= 100
    assert (table.evictions, table.squeezed) == (5, 5)
    assert known(table.items._policy) == table.items.keys()


def test_what_expires_is_dropped_whatever_its_popularity(cached: Make, clock: FakeClock, outcome: Outcome) -> None:
    storage = MemoryStorage(max_entries=3, policy="w-tinylfu")
    client = cached(storage=storage)
    for _ in range(5):
        client.get("/a")
    clock.advance(1000)
    assert outcome(client.get("/a"))[:2] == ("miss", "expired")
    assert client.cache.stats.expirations == 1
    assert known(storage.table.items._policy) == storage.table.items.keys()


def test_replacing_clearing_and_another_bound_leave_the_policy_in_step(cached: Make, outcome: Outcome) -> None:
    storage = MemoryStorage(max_entries=8, policy="w-tinylfu")
    client = cached(storage=storage)
    for n in (*range(8), 3, 3, 3, 20, 21):
        client.get(f"/{n}")
    client.get("/3", headers={"Cache-Control": "no-cache"})
    assert known(storage.table.items._policy) == storage.table.items.keys()
    storage.resize(2)
    assert len(storage) == 2
    assert known(storage.table.items._policy) == storage.table.items.keys()
    client.cache.clear()
    assert known(storage.table.items._policy) == set()
    assert outcome(client.get("/3")).status == "miss"
    assert outcome(client.get("/3")).status == "hit"


def test_a_forked_child_begins_with_a_policy_of_its_own() -> None:
    storage = MemoryStorage(policy="w-tinylfu")
    before = storage.table.items
    storage._renew()
    assert isinstance(storage.table.items, PolicyItems)
    assert storage.table.items._policy is not before._policy


def test_the_memory_of_a_tiered_storage_may_have_any_policy(cached: Make, outcome: Outcome, tmp_path: Path) -> None:
    outer = hishel.SqliteStorage(database_path=tmp_path / "cache.db")
    client = cached(storage=TieredStorage(MemoryStorage(max_entries=1, policy="w-tinylfu"), outer))
    for path in ("/a", "/b", "/c"):
        client.get(path)
    assert outcome(client.get("/a")).status == "hit"
    assert client.cache.stats.tier_hits == 1
    outer.close()


def test_joiners_get_the_answer_whatever_the_policy_does_with_it(
    cached: Make, origin: Any, outcome: Outcome, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer is evicted between its arrival and the joiner's turn."""
    client = cached(storage=MemoryStorage(max_entries=1, policy="w-tinylfu"))
    joined, land = threading.Event(), Flight.land
    register = Flight.on_landing

    def on_landing(flight: Flight, wake: Callable[[], object]) -> None:
        register(flight, wake)
        joined.set()

    def landing(flight: Flight, *rest: Any) -> None:
        storage = client.cache.storage
        with storage.lock:
            for key in list(storage.table.items):
                storage.table.drop(key)
        land(flight, *rest)

    def slow(request: Any) -> Any:
        assert joined.wait(LONG)
        return origin.http.Response(200, text="the answer")

    monkeypatch.setattr(Flight, "on_landing", on_landing)
    monkeypatch.setattr(Flight, "land", landing)
    arrived, answers = threading.Event(), []

    def first(request: Any) -> Any:
        arrived.set()
        return slow(request)

    origin.reply = first
    leader = threading.Thread(target=lambda: answers.append(client.get("/a")))
    leader.start()
    assert arrived.wait(LONG)
    joiner = threading.Thread(target=lambda: answers.append(client.get("/a")))
    joiner.start()
    for thread in (leader, joiner):
        thread.join(LONG)
    assert [answer.text for answer in answers] == ["the answer"] * 2
    assert sorted(outcome(answer).status for answer in answers) == ["collapsed", "miss"]
    assert origin.count == 1


# ── what a policy may do ──────────────────────────────────────────────────────────────────────────────────────────────


def test_the_bounds_hold_by_a_policy_that_does_not_know_what_is_there() -> None:
    table = BoundedTable(3, 10, PolicyItems[Thing](Liar()))
    for n in range(20):
        table.put(f"{n}", Thing(3))
    assert len(table.items) == 3
    assert table.size_bytes == 9
    assert (table.stores, table.evictions) == (20, 17)
    with pytest.raises(KeyError):
        PolicyItems[Thing](Liar()).popitem()


@pytest.mark.parametrize("hits", [0, 3])
@pytest.mark.parametrize("what", ["put", "replace", "drop", "use", "clear"])
def test_a_signal_in_the_middle_of_an_eviction_may_use_the_cache(what: str, hits: int) -> None:
    """The lock is re-entrant, so whatever a handler does comes between two lines of the policy."""
    policy = WTinyLFU()
    table = BoundedTable(4, 100, PolicyItems[Thing](policy))

    def handler() -> None:
        for key in list(table.items):
            if what == "put":
                table.put(f"{key}'", Thing())
            elif what == "replace":
                table.put(key, Thing())
            elif what == "drop":
                table.drop(key)
            elif what == "use":
                table.items.move_to_end(key)
        if what == "clear":
            table.clear()

    class Interrupted(type(policy._sketch)):  # type: ignore[misc]
        busy = False

        def _places(self, key: str) -> Any:
            if not self.busy:
                self.busy = True
                handler()
                self.busy = False
            return super()._places(key)

    for n in range(4):
        table.put(f"{n}", Thing())
        for _ in range(hits):
            table.items.move_to_end(f"{n}")
    policy._sketch = Interrupted()
    for n in range(10, 30):
        table.put(f"{n}", Thing())
        assert table.size_bytes == sum(thing.size for thing in table.items.values())
    policy._sketch = type(policy._sketch).__base__()
    for n in range(30, 60):
        table.put(f"{n}", Thing())
    assert len(table.items) == 4
    assert known(policy) >= table.items.keys()


def test_hits_without_insertions_leave_few_notes() -> None:
    policy = WTinyLFU()
    policy.added("a")
    for _ in range(10 * USES):
        policy.used("a")
    assert len(policy._uses) == USES


@pytest.mark.parametrize("policy", POLICIES)
def test_threads_that_hit_store_drop_and_clear_leave_a_whole_table(
    policy: str, lib: SimpleNamespace, origin: Any, clock: FakeClock
) -> None:
    storage = MemoryStorage(max_entries=5, max_bytes=6000, policy=policy, clock=clock)
    start = threading.Barrier(4)
    problems: list[object] = []

    def work(thread: int) -> None:
        transport = lib.CacheTransport(
            lib.http.MockTransport(lambda request: lib.http.Response(200, content=b"x" * (len(request.url.path) * 40))),
            storage=storage,
        )
        try:
            with lib.http.Client(transport=transport, base_url="http://origin") as client:
                start.wait(LONG)
                for n in range(250):
                    client.get(f"/{'y' * ((n * (thread + 1)) % 9)}")
                    with storage.lock:
                        items = list(storage.table.items.values())
                        if len(items) > 5 or not sum(item.size for item in items) == storage.size_bytes <= 6000:
                            problems.append(items)
                    if n % 50 == 40:
                        transport.invalidate("/")
                    if n == 200:
                        transport.clear()
        except Exception as error:
            problems.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LONG)
    assert problems == []
    stored = storage.table.items
    if isinstance(stored, PolicyItems):
        assert known(stored._policy) == stored.keys()
