"""The sweep of a full table: what no write covers stays a hit, whatever the number of writes; memory stays bounded."""

from __future__ import annotations

import gc
import uuid
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from pywats_cache import CacheTransport, Controller, MemoryStorage, Read, TieredStorage
from pywats_cache.coherence.epochs import Coherence
from pywats_cache.storage.sweep import Sweep

HERE = "http://here.example"


def elsewhere() -> Iterator[str]:
    n = 0
    while True:
        n += 1
        yield f"{HERE}/unit/SN{n}"
        yield f"{HERE}/{uuid.UUID(int=n)}"
        yield f"http://host{n}.example/a/b"
        yield f"{HERE}/unit/SN{n % 7}/step/{n}"


class Origin(httpx.BaseTransport):
    def __init__(self) -> None:
        self.reads = 0

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.reads += request.method == "GET"
        return httpx.Response(200, content=b"{}", headers={"ETag": '"1"'})


@pytest.fixture
def origin() -> Origin:
    return Origin()


@pytest.fixture
def make(origin: Origin) -> Callable[..., CacheTransport]:
    def make(storage: MemoryStorage | None = None, **options: Any) -> CacheTransport:
        storage = storage or MemoryStorage()
        storage.coherence.max_tags = 64
        return CacheTransport(origin, storage=storage, controller=Controller(ttl=1e6, **options))

    return make


def send(transport: CacheTransport, method: str, url: str, **extensions: Any) -> httpx.Response:
    response = transport.handle_request(httpx.Request(method, url, extensions=extensions))
    response.read()
    return response


def status(transport: CacheTransport, url: str, **extensions: Any) -> str:
    outcome = send(transport, "GET", url, **extensions).extensions["pywats_cache"]
    return str(outcome.status)


def write(transport: CacheTransport, count: int, urls: Iterator[str]) -> None:
    for _ in range(count):
        send(transport, "PUT", next(urls))


CONFIG = [f"{HERE}/config/{n}" for n in range(20)]


def test_no_answer_is_lost_to_writes_elsewhere(make: Callable[..., CacheTransport], origin: Origin) -> None:
    transport, urls = make(), elsewhere()
    for url in CONFIG:
        assert status(transport, url) == "miss"
    for _ in range(10):
        write(transport, 100, urls)
        assert [status(transport, url) for url in CONFIG] == ["hit"] * len(CONFIG)
    assert origin.reads == len(CONFIG)
    assert transport.stats.floors == 0


def test_what_a_write_covers_is_lost_however_many_follow(make: Callable[..., CacheTransport]) -> None:
    transport, urls = make(), elsewhere()
    for url in CONFIG:
        send(transport, "GET", url)
    send(transport, "PUT", CONFIG[3])
    write(transport, 1000, urls)
    assert [status(transport, url) for url in CONFIG] == ["hit"] * 3 + ["miss"] + ["hit"] * 16


def test_a_sweep_takes_out_what_is_dirtied(make: Callable[..., CacheTransport]) -> None:
    transport, urls = make(), elsewhere()
    for url in CONFIG:
        send(transport, "GET", url)
    transport.invalidate("/config")
    assert len(transport.storage) == len(CONFIG)
    write(transport, 1000, urls)
    assert len(transport.storage) == 0


def test_the_tables_stay_bounded_all_the_time(make: Callable[..., CacheTransport]) -> None:
    transport, urls = make(), elsewhere()
    coherence = transport.storage.coherence
    for n in range(100):
        send(transport, "GET", f"{HERE}/config/{n}")
    most = 0
    for _ in range(2000):
        write(transport, 1, urls)
        tables = (coherence._dirtied, coherence._aside, *transport.storage._sweep._garbage)
        most = max(most, sum(map(len, tables)))
    assert most <= 3 * 100  # the table grows with what is stored: half the bound, aside, and what is freed
    assert len(coherence._named) == 0


def test_one_call_with_more_tags_than_fit_sweeps_at_once(make: Callable[..., CacheTransport]) -> None:
    transport = make()
    for url in CONFIG:
        send(transport, "GET", url)
    for _ in range(3):
        transport.invalidate(tags=tuple(f"t{n}" for n in range(500)))
    coherence = transport.storage.coherence
    assert len(coherence._dirtied) <= coherence.max_tags
    assert [status(transport, url) for url in CONFIG] == ["hit"] * len(CONFIG)


def test_what_is_softened_stays_stale(make: Callable[..., CacheTransport]) -> None:
    transport, urls = make(stale_while_revalidate=1e6), elsewhere()
    for url in CONFIG:
        send(transport, "GET", url)
    transport.invalidate("/config/3", soft=True)
    write(transport, 1000, urls)
    coherence = transport.storage.coherence
    soft = [coherence.is_softened(entry) for entry in transport.storage.table.items.values()]
    assert sum(soft) == 1
    assert not any(coherence.is_dirtied(entry) for entry in transport.storage.table.items.values())


def test_many_softened_tags_soften_nothing_else(make: Callable[..., CacheTransport]) -> None:
    transport = make()
    for url in CONFIG:
        send(transport, "GET", url)
    for n in range(1000):
        transport.invalidate(f"/elsewhere/{n}", soft=True)
    assert [status(transport, url) for url in CONFIG] == ["hit"] * len(CONFIG)


def test_an_explicit_tag_of_who_asks_is_not_forgotten(origin: Origin, make: Callable[..., CacheTransport]) -> None:
    plain = make()
    tagged = make(plain.storage, rules=[Read("/config/**", tags=("config",))])
    urls = elsewhere()
    for url in CONFIG:
        send(plain, "GET", url)
    assert status(tagged, CONFIG[0]) == "hit"
    tagged.invalidate(tags=("config",))
    write(plain, 1000, urls)
    assert status(tagged, CONFIG[0]) == "miss"
    assert status(tagged, CONFIG[0]) == "hit"


def test_an_explicit_tag_is_found_while_those_before_it_are_swept(make: Callable[..., CacheTransport]) -> None:
    """Of a client whose rules give it; what is stored does not carry it."""
    plain = make()
    tagged = make(plain.storage, rules=[Read("/config/**", tags=("config",))])
    for n in range(300):
        send(plain, "GET", f"{HERE}/item/{n}")
    send(plain, "GET", CONFIG[0])
    tagged.invalidate(tags=("config",))
    sweep, sent = plain.storage._sweep, 0
    while sent < 1000:
        tagged.invalidate(tags=(f"t{sent}",))
        sent += 1
        entry = plain.storage.table.items.get(next(reversed(plain.storage.table.items)))
        assert entry is not None
        if sweep.is_open or sent % 50 == 0:
            prepared = tagged._engine.preparer.prepare(httpx.Request("GET", CONFIG[0]))
            assert plain.storage.coherence.is_dirtied(entry, prepared.tags)
    assert status(tagged, CONFIG[0]) == "miss"


def test_a_client_whose_rules_have_other_tags_loses_nothing_either(make: Callable[..., CacheTransport]) -> None:
    plain = make()
    tagged = make(plain.storage, rules=[Read("/config/**", tags=("config",))])
    for url in CONFIG:
        send(plain, "GET", url)
    write(plain, 1000, elsewhere())
    assert [status(tagged, url) for url in CONFIG] == ["hit"] * len(CONFIG)


def test_a_read_under_way_is_stored_after_any_number_of_writes(
    make: Callable[..., CacheTransport], origin: Origin
) -> None:
    transport, urls = make(), elsewhere()

    class Chunks(httpx.SyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            write(transport, 500, urls)
            yield b"{}"

    origin.handle_request = lambda request: httpx.Response(200, stream=Chunks() if request.method == "GET" else None)  # type: ignore[method-assign]
    assert status(transport, CONFIG[0]) == "miss"
    assert status(transport, CONFIG[0]) == "hit"


def test_a_clear_in_the_middle_of_a_sweep_clears(make: Callable[..., CacheTransport]) -> None:
    transport, urls = make(), elsewhere()
    for n in range(200):
        send(transport, "GET", f"{HERE}/config/{n}")
    while not transport.storage._sweep.is_open:
        write(transport, 1, urls)
    transport.storage.clear()
    write(transport, 1000, urls)
    assert status(transport, f"{HERE}/config/1") == "miss"


def test_a_write_within_a_slice_leaves_the_slice_to_the_outer_one(
    make: Callable[..., CacheTransport], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a signal handler's would be."""
    transport, urls = make(), elsewhere()
    for url in CONFIG:
        send(transport, "GET", url)
    send(transport, "PUT", CONFIG[3])
    mark, calls = Coherence.mark, 0

    def interrupted(self: Coherence, held: Any, horizon: int) -> bool:
        nonlocal calls
        calls += 1
        if calls == 5:
            write(transport, 50, urls)
        return mark(self, held, horizon)

    monkeypatch.setattr(Coherence, "mark", interrupted)
    write(transport, 200, urls)
    assert [status(transport, url) for url in CONFIG] == ["hit"] * 3 + ["miss"] + ["hit"] * 16


def test_what_breaks_off_a_slice_loses_nothing(
    make: Callable[..., CacheTransport], monkeypatch: pytest.MonkeyPatch
) -> None:
    transport, urls = make(), elsewhere()
    for url in CONFIG:
        send(transport, "GET", url)
    mark, calls = Coherence.mark, 0

    def broken(self: Coherence, held: Any, horizon: int) -> bool:
        nonlocal calls
        calls += 1
        if calls % 7 == 0:
            raise KeyboardInterrupt
        return mark(self, held, horizon)

    monkeypatch.setattr(Coherence, "mark", broken)
    for _ in range(500):
        try:
            write(transport, 1, urls)
        except KeyboardInterrupt:
            pass
    monkeypatch.undo()
    assert calls > 7
    assert [status(transport, url) for url in CONFIG] == ["hit"] * len(CONFIG)


def test_hishels_own_entries_are_neither_looked_at_nor_lost(make: Callable[..., CacheTransport]) -> None:
    import hishel

    transport, urls = make(), elsewhere()
    storage = transport.storage
    assert isinstance(storage, MemoryStorage)
    kept = storage.create_entry(hishel.Request("GET", HERE), hishel.Response(200, stream=iter([b"x"])), "key")
    write(transport, 500, urls)
    assert b"".join(kept.response.stream or ()) == b"x"
    write(transport, 500, urls)
    assert len(storage.get_entries("key")) == 1


def test_before_another_storage_the_table_is_compacted(tmp_path: Any, origin: Origin) -> None:
    import hishel

    memory = MemoryStorage()
    tiered = TieredStorage(memory, hishel.SqliteStorage(database_path=tmp_path / "h.db"))
    memory.coherence.max_tags = 64
    transport = CacheTransport(origin, storage=tiered, controller=Controller(ttl=1e6))
    for url in CONFIG:
        send(transport, "GET", url)
    write(transport, 200, (f"{HERE}/unit/all/{n}" for n in range(1000)))
    assert [status(transport, url) for url in CONFIG] == ["hit"] * len(CONFIG)
    assert memory.coherence.sweep is None
    assert len(memory.coherence._dirtied) <= 64
    assert transport.stats.floors == 0
    write(transport, 200, (f"{HERE}/unit/{n}" for n in range(1000)))
    assert transport.stats.floors > 0


def test_a_full_table_before_another_storage_forgets_no_explicit_tag_of_another_client(
    make: Callable[..., CacheTransport],
) -> None:
    """What is stored does not carry it, but who asks goes by it."""
    plain = make()
    plain.storage.coherence.sweep = None  # as before another storage
    tagged = make(plain.storage, rules=[Read("/config/**", tags=("config",))])
    send(plain, "GET", CONFIG[0])
    tagged.invalidate(tags=("config",))
    for n in range(100):
        tagged.invalidate(tags=(f"t{n}",))
    assert status(tagged, CONFIG[0]) == "miss"


def test_a_slice_is_bounded() -> None:
    storage = MemoryStorage()
    sweep = Sweep(storage)
    storage.coherence.put_aside()
    sweep._horizon, sweep._left = 0, ["none"] * 5000
    sweep.pay(10_000)
    assert len(sweep._left) == 4000


def test_what_is_known_of_the_keys_stays_bounded_without_any_write(make: Callable[..., CacheTransport]) -> None:
    """Else a sweep could not do without a copy of all keys, which takes milliseconds."""
    transport = make(MemoryStorage(max_entries=20))
    sweep = transport.storage._sweep
    for n in range(3000):
        send(transport, "GET", f"{HERE}/item/{n % 30}")
        assert len(sweep._keys) + len(sweep._left) <= 2 * 20 + 300
    for url in CONFIG:
        send(transport, "GET", url)
    write(transport, 1000, elsewhere())
    assert [status(transport, url) for url in CONFIG] == ["hit"] * len(CONFIG)
    transport.clear()
    assert sweep._keys == sweep._left == []


def test_what_a_signal_handler_stores_in_the_middle_of_a_slice_is_looked_at(
    make: Callable[..., CacheTransport], monkeypatch: pytest.MonkeyPatch
) -> None:
    transport, urls = make(), elsewhere()
    for url in CONFIG[1:]:
        send(transport, "GET", url)
    mark, calls = Coherence.mark, 0

    def interrupted(self: Coherence, held: Any, horizon: int) -> bool:
        nonlocal calls
        calls += 1
        if calls == 5:
            send(transport, "GET", CONFIG[0])
        return mark(self, held, horizon)

    monkeypatch.setattr(Coherence, "mark", interrupted)
    for _ in range(3):
        write(transport, 500, urls)
        assert [status(transport, url) for url in CONFIG] == ["hit"] * len(CONFIG)


def test_a_storage_that_nobody_refers_to_is_freed_without_the_garbage_collector() -> None:
    gc.collect()
    gc.disable()
    try:
        storage = MemoryStorage()
        coherence, gone = storage.coherence, weakref.ref(storage)
        del storage
        assert gone() is None
        coherence.max_tags = 2
        coherence.bump(("a", "b", "c"))  # whoever still has it has nothing to sweep
    finally:
        gc.enable()


def test_explain_names_the_subtree_that_a_compaction_gave_up(make: Callable[..., CacheTransport]) -> None:
    transport = make()
    transport.storage.coherence.sweep = None  # as before another storage
    send(transport, "GET", f"{HERE}/unit/all/x")
    write(transport, 200, (f"{HERE}/unit/all/{n}" for n in range(1000)))
    explanation = transport.explain(httpx.Request("GET", f"{HERE}/unit/all/x"))
    assert (explanation.reason, explanation.dirtied_by) == ("dirtied", f"^{HERE}/unit/all")
    assert explanation.compacted
    assert "writes below (the table of tags was full) " in str(explanation)
