"""Eviction order and both bounds, against a model that is too simple to be wrong."""

from __future__ import annotations

from collections import OrderedDict
from types import SimpleNamespace
from typing import Any

import httpx
from hypothesis import event, given, settings
from hypothesis import strategies as st

from pywats_cache import CacheTransport, MemoryStorage
from pywats_cache.storage.entry import OVERHEAD, StoredResponse
from pywats_cache.storage.lru import BoundedLRU

KEYS = st.sampled_from("abcdef")
OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), KEYS, st.integers(0, 130)),
        st.tuples(st.just("use"), KEYS, st.just(0)),
        st.tuples(st.just("drop"), KEYS, st.just(0)),
        st.tuples(st.just("grow"), KEYS, st.integers(0, 130)),
        st.tuples(st.just("clear"), st.just("a"), st.just(0)),
    ),
    max_size=60,
)


class ModelLRU:
    """Names and sizes, the least recently used first."""

    def __init__(self, max_entries: int, max_bytes: int) -> None:
        self.max_entries, self.max_bytes = max_entries, max_bytes
        self.sizes: OrderedDict[str, int] = OrderedDict()

    def put(self, key: str, size: int) -> None:
        if size > self.max_bytes:
            return
        self.sizes.pop(key, None)
        while len(self.sizes) + 1 > self.max_entries or sum(self.sizes.values()) + size > self.max_bytes:
            self.sizes.popitem(last=False)
        self.sizes[key] = size

    def use(self, key: str, _: int) -> None:
        if key in self.sizes:
            self.sizes.move_to_end(key)

    def drop(self, key: str, _: int) -> None:
        self.sizes.pop(key, None)

    def grow(self, key: str, extra: int) -> None:
        if key in self.sizes and sum(self.sizes.values()) + extra <= self.max_bytes:
            self.sizes[key] += extra

    def clear(self, key: str, _: int) -> None:
        self.sizes.clear()


class WatchedDict(OrderedDict[str, Any]):
    """Looks at the bounds at each insertion: they hold at every moment, not only between two calls."""

    max_entries = max_bytes = 0

    def __setitem__(self, key: str, item: Any) -> None:
        super().__setitem__(key, item)
        assert len(self) <= self.max_entries
        assert sum(i.size for i in self.values()) <= self.max_bytes


@settings(max_examples=300)
@given(operations=OPERATIONS, max_entries=st.integers(1, 4), max_bytes=st.integers(1, 120))
def test_the_table_evicts_in_the_order_of_use_and_stays_in_bounds(
    operations: list[tuple[str, str, int]], max_entries: int, max_bytes: int
) -> None:
    lru: BoundedLRU[Any] = BoundedLRU(max_entries, max_bytes)
    watched = WatchedDict()
    watched.max_entries, watched.max_bytes = max_entries, max_bytes
    lru.items = watched
    model = ModelLRU(max_entries, max_bytes)
    for name, key, number in operations:
        before = dict(model.sizes)
        getattr(model, name)(key, number)
        if name == "put":
            gone = lru.put(key, SimpleNamespace(size=number))
            if number > max_bytes:
                assert gone is None
            else:
                assert {k for k, _ in gone or ()} == {k for k in before if k not in model.sizes or k == key}
        elif name == "use" and key in lru.items:
            lru.items.move_to_end(key)
        elif name == "drop":
            assert lru.drop(key) == (key in before)
        elif name == "grow" and key in lru.items:
            assert lru.grow(key, lru.items[key], number) == (before != model.sizes or number == 0)
        elif name == "clear":
            lru.clear()
        assert [(k, item.size) for k, item in lru.items.items()] == list(model.sizes.items())
        assert lru.size_bytes == sum(model.sizes.values()) <= max_bytes


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
def test_answers_leave_the_storage_in_the_order_of_use_and_both_bounds_hold(
    calls: list[tuple[str, int, bool, int]], max_entries: int, max_bytes: int, max_entry_bytes: int
) -> None:
    """Through the transport: replaced by a refresh, grown by a derived form, too large, or hit."""
    storage = MemoryStorage(max_entries, max_bytes, max_entry_bytes)
    next_size = 0

    def respond(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=b"x" * next_size)

    transport = CacheTransport(httpx.MockTransport(respond), storage=storage)
    model = ModelLRU(max_entries, max_bytes)
    keys: dict[str, str] = {}
    for name, next_size, refresh, derived in calls:
        extensions = {"pywats_cache": {"refresh": True}} if refresh else {}
        response = transport.handle_request(httpx.Request("GET", f"http://o/{name}", extensions=extensions))
        outcome = response.extensions["pywats_cache"]
        keys[outcome.key] = name
        if outcome.status == "hit":
            event("a hit")
            model.use(name, 0)
        else:
            size = OVERHEAD + next_size + (len(f"Content-Length{next_size}") if next_size else 0)
            fits = size <= min(max_entry_bytes, max_bytes)
            event(f"fits: {fits}")
            assert outcome.stored == fits
            if fits:
                model.put(name, size)
        entry = storage.find(outcome.key)
        if entry is not None and derived:
            fresh = entry.derived is None
            assert storage.derive(entry, lambda content: (content,), lambda _, n=derived: n) == (entry.content,)
            if fresh:
                model.grow(name, derived)
        assert [keys[key] for key in storage.lru.items] == list(model.sizes)
        assert storage.size_bytes == sum(model.sizes.values()) == sum(e.size for e in storage.lru.items.values())
        assert storage.size_bytes <= max_bytes
        assert len(storage) <= max_entries


def test_the_check_of_bounds_finds_an_insertion_before_the_eviction() -> None:
    """The model's counter-example, so that the property is seen to be able to fail."""

    class Late(BoundedLRU[Any]):
        def put(self, key: str, item: Any) -> Any:
            self.items[key] = item
            del self.items[key]
            return super().put(key, item)

    lru = Late(1, 10)
    watched = WatchedDict()
    watched.max_entries, watched.max_bytes = 1, 10
    lru.items = watched
    lru.put("a", SimpleNamespace(size=6))
    try:
        lru.put("b", SimpleNamespace(size=6))
    except AssertionError:
        return
    raise AssertionError("the watched table did not see the excess")


def test_an_entry_is_counted_with_all_its_bytes() -> None:
    entry = StoredResponse(
        key="k", status=200, headers=((b"A", b"a", b"12"),), raw=b"raw", content=b"decoded", extensions={}, began=0.0,
        ttl=1.0, own_ttl=False, tags=(), epoch=0, vary=(), rule="default",
    )  # fmt: skip
    assert entry.size == OVERHEAD + 3 + 7 + 3
