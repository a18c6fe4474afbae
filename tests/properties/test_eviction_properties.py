"""Eviction order and both bounds, by each policy, against models that are too simple to be wrong."""

from __future__ import annotations

import random
from collections import OrderedDict
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st
from policy_models import POLICY_MODELS, ExactCounts, ModelTable, ModelTinyLFU

from pywats_cache import CacheTransport, MemoryStorage
from pywats_cache.coherence.tags import path_tags
from pywats_cache.storage.bounded_table import BoundedTable
from pywats_cache.storage.entry import OVERHEAD, StoredResponse, header_items
from pywats_cache.storage.eviction import POLICIES, PolicyItems
from pywats_cache.storage.tinylfu import (
    MINIATURE,
    MOST,
    MOVES,
    RECENT,
    SCAN_RESISTANT,
    FrequencySketch,
    Segments,
    WTinyLFU,
)

KEYS = st.sampled_from("abcdefgh")
OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), KEYS, st.integers(0, 130)),
        st.tuples(st.just("put"), KEYS, st.integers(0, 20)),
        st.tuples(st.just("use"), KEYS, st.sampled_from([1, 1, 2, 5, 200])),
        st.tuples(st.just("drop"), KEYS, st.just(0)),
        st.tuples(st.just("grow"), KEYS, st.integers(0, 130)),
        st.tuples(st.just("resize"), st.just("a"), st.integers(1, 6)),
        st.tuples(st.just("clear"), st.just("a"), st.just(0)),
    ),
    max_size=80,
)
by_each_policy = pytest.mark.parametrize("policy", POLICY_MODELS)


class Watched:
    """Looks at the bounds at each insertion: they hold at every moment, not only between two calls."""

    table: BoundedTable[Any]

    def __setitem__(self, key: str, item: Any) -> None:
        super().__setitem__(key, item)  # type: ignore[misc]
        assert len(self) <= self.table.max_entries  # type: ignore[arg-type]
        assert sum(i.size for i in self.values()) <= self.table.max_bytes  # type: ignore[attr-defined]


class WatchedDict(Watched, OrderedDict[str, Any]):
    pass


class WatchedItems(Watched, PolicyItems[Any]):
    pass


def watched_table(max_entries: int, max_bytes: int, policy: str, kind: Any = BoundedTable) -> Any:
    made = POLICIES[policy]
    items: Any = WatchedDict() if made is None else WatchedItems(made())
    items.table = kind(max_entries, max_bytes, items)
    return items.table


@by_each_policy
@settings(max_examples=300)
@given(operations=OPERATIONS, max_entries=st.integers(1, 6), max_bytes=st.integers(1, 120))
def test_the_table_evicts_in_the_order_of_the_policy_and_stays_in_bounds(
    policy: str, operations: list[tuple[str, str, int]], max_entries: int, max_bytes: int
) -> None:
    table = watched_table(max_entries, max_bytes, policy)
    model = ModelTable(max_entries, max_bytes, POLICY_MODELS[policy]())
    stores = evictions = 0
    for name, key, number in operations:
        before = dict(model.sizes)
        getattr(model, name)(key, number)
        if name == "put":
            gone = table.put(key, SimpleNamespace(size=number))
            if number > max_bytes:
                assert gone is None
            else:
                stores += 1
                assert {k for k, _ in gone or ()} == {k for k in before if k not in model.sizes or k == key}
                evictions += len(gone) - (key in before)
        elif name == "use" and key in table.items:
            for _ in range(number):
                table.items.move_to_end(key)
        elif name == "drop":
            assert table.drop(key) == (key in before)
        elif name == "grow" and key in table.items:
            assert table.grow(key, table.items[key], number) == (before != model.sizes or number == 0)
        elif name == "resize":
            gone = table.resize(number)
            assert {k for k, _ in gone} == before.keys() - model.sizes.keys()
            evictions += len(gone)
        elif name == "clear":
            table.clear()
        assert {k: item.size for k, item in table.items.items()} == model.sizes
        assert table.size_bytes == sum(model.sizes.values()) <= max_bytes
        assert (table.stores, table.evictions) == (stores, evictions)
        assert table.squeezed <= table.evictions
        if isinstance(table.items, PolicyItems):
            assert segments(table.items._policy) == segments(model.policy)
    # What is left goes in the same order too.
    while table.items:
        assert table.items.popitem(last=False)[0] == model.policy.victim()


def segments(policy: Any) -> list[list[str]]:
    """The keys in each segment, of those that are kept and of both miniatures, of the policy or its model."""
    if isinstance(policy, WTinyLFU):
        parts = [policy._kept, policy._frequent, policy._recent]
    else:
        parts = [policy.kept, *policy.miniatures] if isinstance(policy, ModelTinyLFU) else []
    return [list(segment) for part in parts for segment in (part.window, part.probation, part.protected)]


# ── which window W-TinyLFU takes ──────────────────────────────────────────────────────────────────────────────────────


def popular(rng: random.Random, keys: int, requests: int) -> list[str]:
    """A few keys are asked for often, many seldom, and half of the requests are a scan."""
    often = rng.choices(range(keys), [1 / (n + 1) for n in range(keys)], k=requests // 2)
    first = rng.randrange(1 << 40)
    return [key for n, usual in enumerate(often) for key in (f"{usual}", f"scan {first + n}")]


def loops(rng: random.Random, keys: int, requests: int) -> list[str]:
    """Ten times through 3 to 7 % of so many keys, then through others.

    With room for 10 % of the keys: the nearer to it, the more often a sample has more keys than its part of the room.
    """
    trace: list[str] = []
    while len(trace) < requests:
        name = rng.randrange(1 << 40)
        trace += [f"loop {name} {n}" for n in range(int(keys * rng.uniform(0.03, 0.07)))] * 10
    return trace[:requests]


def hits_of(trace: list[str], policy: Any, capacity: int) -> int:
    """The hits of a policy, None for LRU, on a trace; the bounds are looked at after each request."""
    table = BoundedTable[Any](capacity, 1 << 30, OrderedDict() if policy is None else PolicyItems(policy))
    hits, item = 0, SimpleNamespace(size=1)
    for key in trace:
        if key in table.items:
            hits += 1
            table.items.move_to_end(key)
        else:
            table.put(key, item)
        assert len(table.items) == table.size_bytes <= capacity
    return hits


def fixed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Mutate W-TinyLFU: neither miniature ever has more hits than the other, so the window stays small."""
    monkeypatch.setattr(WTinyLFU, "_play", lambda *_: False)


@settings(max_examples=10)
@given(seed=st.integers(0, 1 << 32), capacity=st.sampled_from([60, 200, 700]))
def test_w_tinylfu_has_the_hits_of_the_better_window(seed: int, capacity: int) -> None:
    """Of LRU where everything fits that is asked for at one time, of a small window where much is asked for once."""
    rng = random.Random(seed)
    for trace, percent in (
        (popular(rng, 10 * capacity, 60 * capacity), SCAN_RESISTANT),
        (loops(rng, 10 * capacity, 60 * capacity), RECENT),
    ):
        with pytest.MonkeyPatch.context() as patch:
            policy = WTinyLFU()
            hits, lru = hits_of(trace, policy, capacity), hits_of(trace, None, capacity)
            fixed(patch)
            small = hits_of(trace, WTinyLFU(), capacity)
        assert policy._kept.percent == percent
        # 0.90 and more in 160 tries; the other window, which so is seen to fail the check, 0.85 and less.
        assert hits > 0.87 * max(lru, small) > min(lru, small)


@settings(max_examples=3)
@given(seed=st.integers(0, 1 << 32), capacity=st.sampled_from([60, 260]))
def test_the_window_changes_and_changes_back_as_in_the_model(seed: int, capacity: int) -> None:
    rng = random.Random(seed)
    table = BoundedTable(capacity, 1 << 30, PolicyItems[Any](WTinyLFU()))
    model = ModelTable(capacity, 1 << 30, ModelTinyLFU(FrequencySketch()))
    for part, percent in ((loops, RECENT), (popular, SCAN_RESISTANT), (loops, RECENT)):
        for key in part(rng, 10 * capacity, 100 * capacity):
            if key in model.sizes:
                table.items.move_to_end(key)
                model.use(key)
                continue
            table.put(key, SimpleNamespace(size=1))
            model.put(key, 1)
            if rng.random() < 0.01:
                table.drop(key)
                model.drop(key)
            assert table.items.keys() == model.sizes.keys()
        assert segments(table.items._policy) == segments(model.policy)
        assert table.items._policy._kept.percent == model.policy.kept.percent == percent


@settings(max_examples=10)
@given(seed=st.integers(0, 1 << 32), most=st.sampled_from([1, 70, 1500]))
def test_miniatures_stay_small_whatever_comes(seed: int, most: int) -> None:
    rng, policy = random.Random(seed), WTinyLFU()
    table = BoundedTable(most, 1 << 30, PolicyItems[Any](policy))
    for n in range(6000):
        if n % 1000 == 999:
            table.resize(rng.randint(1, most))
        elif n % 1000 == 500:
            table.max_entries = most
        table.put(f"{int(rng.paretovariate(0.3)) % 4000}", SimpleNamespace(size=1))
        assert max(len(policy._frequent), len(policy._recent)) <= MINIATURE


@settings(max_examples=5)
@given(st.integers(10, 2000))
def test_a_window_that_changes_moves_a_few_keys_at_a_time(keys: int) -> None:
    """An insertion stays O(1), however many keys are in a window that has become too large."""
    segments = Segments(RECENT)
    for n in range(keys):
        segments.add(f"{n}")
    assert list(segments.window) == [f"{n}" for n in range(keys)]
    segments.percent, added = SCAN_RESISTANT, 0
    while len(segments.window) > max(1, len(segments) // 100):
        behind = len(segments.probation)
        segments.add(f"new {added}")
        added += 1
        assert 0 < len(segments.probation) - behind <= MOVES
    in_order = [f"{n}" for n in range(keys)] + [f"new {n}" for n in range(added)]
    assert [*segments.probation, *segments.window] == in_order


@settings(max_examples=20)
@given(seed=st.integers(0, 1 << 32), max_entries=st.sampled_from([1, 2, 99, 250, 450]))
def test_many_keys_go_in_the_order_of_the_model(seed: int, max_entries: int) -> None:
    """A window of several keys, a sketch that grows and is halved; the model asks a sketch of its own."""
    rng = random.Random(seed)
    table = BoundedTable(max_entries, 1 << 30, PolicyItems[Any](WTinyLFU()))
    model = ModelTable(max_entries, 1 << 30, ModelTinyLFU(FrequencySketch()))
    for _ in range(4000):
        key = str(int(rng.paretovariate(0.4)) % 1000)
        if key in model.sizes and rng.random() < 0.95:
            table.items.move_to_end(key)
            model.use(key)
        else:
            table.put(key, SimpleNamespace(size=1))
            model.put(key, 1)
        assert table.items.keys() == model.sizes.keys()


def test_a_sketch_counts_a_few_keys_exactly_and_halves_in_time() -> None:
    sketch, exact = FrequencySketch(), ExactCounts()
    rng = random.Random(5)
    for n in range(5000):
        if n == 700:
            sketch.grow(100)
            exact.grow(100)
        key = f"{min(rng.randrange(6), rng.randrange(60))}"
        sketch.add(key)
        exact.add(key)
        assert [sketch.count(str(k)) for k in range(6)] == [exact.count(str(k)) for k in range(6)]


@given(st.lists(st.integers(0, 30), max_size=300), st.integers(1, 500))
def test_a_sketch_never_counts_too_few_and_growing_changes_no_count(uses: list[int], keys: int) -> None:
    sketch = FrequencySketch()
    for use in uses:
        sketch.add(f"key {use}")
    counts = [sketch.count(f"key {n}") for n in range(31)]
    assert all(counts[n] >= min(MOST, uses.count(n)) for n in range(31))
    sketch.grow(keys)
    assert [sketch.count(f"key {n}") for n in range(31)] == counts


@settings(max_examples=30)
@given(st.integers(1, 200), st.integers(0, 1 << 40))
def test_a_sketch_is_bounded_by_its_keys_and_forgets(keys: int, first: int) -> None:
    sketch = FrequencySketch()
    sketch.grow(keys)
    size = len(sketch._counts)
    for _ in range(MOST):
        sketch.add("yesterday's favourite")
    for n in range(40 * max(64, keys)):
        sketch.add(f"{first + n}")
    assert len(sketch._counts) == size <= 16 * max(64, 2 * keys)
    assert sketch.count("yesterday's favourite") < MOST


@by_each_policy
@settings(max_examples=200)
@given(
    calls=st.lists(
        st.tuples(
            st.sampled_from("abcde"),
            st.sampled_from([0, 0, 100, 700, 1500, 4000]),
            st.sampled_from([False, False, False, True]),
            st.sampled_from([0, 0, 500, 3000]),
        ),
        min_size=8,
        max_size=40,
    ),
    max_entries=st.integers(2, 4),
    max_bytes=st.integers(1500, 6000),
    max_entry_bytes=st.sampled_from([1000, 2500, 10_000]),
)
def test_answers_leave_the_storage_in_the_order_of_the_policy_and_both_bounds_hold(
    policy: str, calls: list[tuple[str, int, bool, int]], max_entries: int, max_bytes: int, max_entry_bytes: int
) -> None:
    """Through the transport: replaced by a refresh, grown by a derived form, too large, or hit."""
    storage = MemoryStorage(max_entries, max_bytes, max_entry_bytes, policy=policy)
    next_size = 0

    def respond(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=b"x" * next_size)

    transport = CacheTransport(httpx.MockTransport(respond), storage=storage)
    model = ModelTable(max_entries, max_bytes, POLICY_MODELS[policy]())
    keys: dict[str, str] = {}
    for name, next_size, refresh, derived in calls:
        extensions = {"pywats_cache": {"refresh": True}} if refresh else {}
        response = transport.handle_request(httpx.Request("GET", f"http://o/{name}", extensions=extensions))
        outcome = response.extensions["pywats_cache"]
        keys[outcome.key] = name
        if outcome.status == "hit":
            event("a hit")
            model.use(name)
        else:
            headers = header_items(httpx.Response(200, content=b"x" * next_size).headers._list)
            size = StoredResponse(
                key="k", status=200, headers=headers, raw=b"x" * next_size, content=b"", extensions={}, began=0.0,
                ttl=1.0, own_ttl=False, tags=path_tags("http://o", f"/{name}"), epoch=0, vary=(), rule="default",
            ).size - 33  # fmt: skip
            fits = size <= min(max_entry_bytes, max_bytes)
            event(f"fits: {fits}")
            assert outcome.stored == fits
            if fits:
                model.put(name, size)
            elif refresh:
                model.drop(name)  # its successor is too large, and the old one is no longer what the server has
        entry = storage.find(outcome.key)
        if entry is not None and derived:
            fresh = entry.derived is None
            assert storage.derive(entry, lambda content: (content,), lambda _, n=derived: n) == (entry.content,)
            if fresh:
                model.grow(name, derived)
        assert {keys[key] for key in storage.table.items} == model.sizes.keys()
        assert storage.size_bytes == sum(model.sizes.values()) == sum(e.size for e in storage.table.items.values())
        assert storage.size_bytes <= max_bytes
        assert len(storage) <= max_entries


@by_each_policy
def test_the_check_of_bounds_finds_an_insertion_before_the_eviction(policy: str) -> None:
    """The model's counter-example, so that the property is seen to be able to fail."""

    class Late(BoundedTable[Any]):
        def put(self, key: str, item: Any) -> Any:
            self.items[key] = item
            del self.items[key]
            return super().put(key, item)

    table = watched_table(1, 10, policy, Late)
    table.put("a", SimpleNamespace(size=6))
    with pytest.raises(AssertionError):
        table.put("b", SimpleNamespace(size=6))


def test_an_entry_is_counted_with_all_its_bytes() -> None:
    entry = StoredResponse(
        key="k", status=200, headers=((b"A", b"a", b"12"),), raw=b"raw", content=b"decoded", extensions={}, began=0.0,
        ttl=1.0, own_ttl=False, tags=(), epoch=0, vary=(), rule="default",
    )  # fmt: skip
    least = OVERHEAD + 3 + 7 + 3
    assert least < entry.size < least + 400
