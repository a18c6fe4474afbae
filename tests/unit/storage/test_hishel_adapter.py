"""MemoryStorage against the contract in the docstrings of hishel.BaseStorage, and inside hishel's transports."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import anyio
import hishel
import hishel.httpx
import httpx
import pytest

from pywats_cache import CacheTransport, MemoryStorage
from pywats_cache.testing import FakeClock


def response(*chunks: bytes, headers: dict[str, str] | None = None) -> hishel.Response:
    return hishel.Response(200, hishel.Headers(headers or {}), iter(chunks))


def request(url: str = "http://host/a") -> hishel.Request:
    return hishel.Request("GET", url, hishel.Headers({"accept": "*/*"}))


def save(storage: MemoryStorage, key: str, body: bytes = b"body", **limits: float) -> hishel.Entry:
    entry = storage.create_entry(request(), response(body), key, **limits)
    assert b"".join(entry.response.stream) == body  # type: ignore[arg-type]
    return entry


def bodies(storage: MemoryStorage, key: str) -> list[bytes]:
    return [b"".join(entry.response.stream) for entry in storage.get_entries(key)]  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def _working_directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where hishel would put its own SQLite file, if it did not take ours."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def storage(clock: FakeClock) -> MemoryStorage:
    return MemoryStorage(clock=clock)


def test_it_is_a_hishel_storage() -> None:
    assert isinstance(MemoryStorage(), hishel.BaseStorage)
    assert isinstance(MemoryStorage().as_async(), hishel.AsyncBaseStorage)


def test_the_entry_is_not_returned_until_its_stream_is_fully_read(storage: MemoryStorage) -> None:
    entry = storage.create_entry(request(), response(b"one", b"two"), "k")
    assert storage.get_entries("k") == []
    stream = iter(entry.response.stream)  # type: ignore[arg-type]
    assert next(stream) == b"one"
    assert next(stream) == b"two"
    assert storage.get_entries("k") == []
    assert list(stream) == []
    assert bodies(storage, "k") == [b"onetwo"]


def test_a_stream_that_breaks_or_is_closed_saves_nothing(storage: MemoryStorage) -> None:
    def broken() -> Iterator[bytes]:
        yield b"part"
        raise OSError("broken")

    entry = storage.create_entry(request(), hishel.Response(200, stream=broken()), "k")
    with pytest.raises(OSError, match="broken"):
        list(entry.response.stream)  # type: ignore[arg-type]
    closed = storage.create_entry(request(), response(b"a", b"b"), "k").response.stream
    next(closed)  # type: ignore[arg-type]
    closed.close()  # type: ignore[union-attr]
    assert storage.get_entries("k") == []


def test_an_empty_body_and_no_stream_are_saved(storage: MemoryStorage) -> None:
    save(storage, "k", b"")
    list(storage.create_entry(request(), hishel.Response(204), "n").response.stream)  # type: ignore[arg-type]
    assert bodies(storage, "k") == [b""]
    assert bodies(storage, "n") == [b""]


def test_a_response_larger_than_max_stream_size_is_delivered_but_not_cached() -> None:
    storage = MemoryStorage(max_stream_size=5)
    entry = storage.create_entry(request(), response(b"123", b"456"), "k")
    assert list(entry.response.stream) == [b"123", b"456"]  # type: ignore[arg-type]
    assert storage.get_entries("k") == []
    save(storage, "k", b"12345")
    assert bodies(storage, "k") == [b"12345"]


def test_a_response_that_the_bounds_do_not_hold_is_delivered_but_not_cached() -> None:
    storage = MemoryStorage(max_bytes=2000)
    save(storage, "k", b"x" * 1900)
    assert storage.get_entries("k") == []
    assert storage.size_bytes == 0


def test_headers_count_for_the_bound_of_an_entry(clock: FakeClock) -> None:
    storage = MemoryStorage(max_entry_bytes=2000, clock=clock)
    large = response(b"x", headers={"a": "b" * 1800})
    assert list(storage.create_entry(request(), large, "k").response.stream) == [b"x"]  # type: ignore[arg-type]
    assert storage.get_entries("k") == []
    entry = save(storage, "k")
    storage.update_headers(entry.id, large.headers)
    assert storage.get_entries("k") == []


def test_ttl_counts_from_create_entry(storage: MemoryStorage, clock: FakeClock) -> None:
    entry = storage.create_entry(request(), response(b"body"), "k", ttl=10)
    clock.advance(6)
    list(entry.response.stream)  # type: ignore[arg-type]
    clock.advance(3.9)
    assert bodies(storage, "k") == [b"body"]
    clock.advance(0.1)
    assert storage.get_entries("k") == []


def test_tti_counts_from_when_the_entry_was_last_returned(storage: MemoryStorage, clock: FakeClock) -> None:
    save(storage, "k", tti=10)
    for _ in range(3):
        clock.advance(9)
        assert bodies(storage, "k") == [b"body"]
    clock.advance(10)
    assert storage.get_entries("k") == []


def test_an_entry_expires_at_the_earlier_of_ttl_and_tti(storage: MemoryStorage, clock: FakeClock) -> None:
    save(storage, "k", ttl=15, tti=10)
    clock.advance(9)
    assert len(storage.get_entries("k")) == 1
    clock.advance(6)
    assert storage.get_entries("k") == []


def test_the_defaults_are_those_at_the_moment_of_create_entry(clock: FakeClock) -> None:
    storage = MemoryStorage(clock=clock, default_ttl=10)
    save(storage, "old")
    storage.default_ttl = 100
    save(storage, "new")
    save(storage, "own", ttl=1000)
    clock.advance(10)
    assert storage.get_entries("old") == []
    assert len(storage.get_entries("new")) == 1
    clock.advance(500)
    assert storage.get_entries("new") == []
    assert len(storage.get_entries("own")) == 1


def test_without_limits_an_entry_lasts(storage: MemoryStorage, clock: FakeClock) -> None:
    save(storage, "k")
    clock.advance(1e9)
    assert len(storage.get_entries("k")) == 1


def test_entries_of_one_key_are_all_returned_and_of_another_none(storage: MemoryStorage) -> None:
    one, two = save(storage, "k", b"1"), save(storage, "k", b"2")
    assert [entry.id for entry in storage.get_entries("k")] == [one.id, two.id]
    assert bodies(storage, "k") == [b"1", b"2"]
    assert storage.get_entries("other") == []


def test_the_whole_body_is_delivered_each_time(storage: MemoryStorage) -> None:
    save(storage, "k", b"body")
    entries = storage.get_entries("k") + storage.get_entries("k")
    storage.remove_entry(entries[0].id)
    assert [b"".join(entry.response.stream) for entry in entries] == [b"body", b"body"]  # type: ignore[arg-type]


def test_update_headers_replaces_them(storage: MemoryStorage) -> None:
    entry = storage.create_entry(request(), response(b"body", headers={"etag": "1", "old": "x"}), "k")
    list(entry.response.stream)  # type: ignore[arg-type]
    storage.update_headers(entry.id, hishel.Headers({"etag": "2"}))
    (found,) = storage.get_entries("k")
    assert dict(found.response.headers) == {"etag": "2"}
    assert found.response.status_code == 200
    assert bodies(storage, "k") == [b"body"]


def test_updated_headers_count_for_the_bound_of_bytes(clock: FakeClock) -> None:
    storage = MemoryStorage(max_bytes=5000, clock=clock)
    entry = save(storage, "k")
    before = storage.size_bytes
    storage.update_headers(entry.id, hishel.Headers({"x": "h" * 1000}))
    assert storage.size_bytes >= before + 1000
    storage.update_headers(entry.id, hishel.Headers({"x": "h" * 10_000}))
    assert storage.size_bytes <= 5000
    assert all(len(e.response.headers.get("x", "")) < 5000 for e in storage.get_entries("k"))


def test_a_removed_entry_is_not_returned(storage: MemoryStorage) -> None:
    one, two = save(storage, "k", b"1"), save(storage, "k", b"2")
    storage.remove_entry(one.id)
    assert [entry.id for entry in storage.get_entries("k")] == [two.id]
    storage.remove_entry(two.id)
    assert storage.get_entries("k") == []
    assert len(storage) == storage.size_bytes == 0


def test_update_and_removal_of_what_is_gone_do_nothing(storage: MemoryStorage) -> None:
    gone = save(storage, "k")
    storage.remove_entry(gone.id)
    for id in (gone.id, uuid.uuid4()):
        storage.remove_entry(id)
        storage.update_headers(id, hishel.Headers({"a": "b"}))
    assert storage.get_entries("k") == []


def test_an_evicted_entry_is_gone_and_its_index_with_it(clock: FakeClock) -> None:
    storage = MemoryStorage(max_entries=2, clock=clock)
    for n in range(5):
        save(storage, f"k{n}")
    assert [len(storage.get_entries(f"k{n}")) for n in range(5)] == [0, 0, 0, 1, 1]
    assert set(storage._groups) == {"k3", "k4"}


def test_returning_an_entry_is_a_use_of_it(clock: FakeClock) -> None:
    storage = MemoryStorage(max_entries=2, clock=clock)
    save(storage, "a")
    save(storage, "b")
    storage.get_entries("a")
    save(storage, "c")
    assert len(storage.get_entries("a")) == 1
    assert storage.get_entries("b") == []


def test_what_a_caller_does_to_an_entry_does_not_change_the_next(storage: MemoryStorage) -> None:
    sent = request()
    entry = storage.create_entry(sent, response(b"body", headers={"etag": "1"}), "k")
    list(entry.response.stream)  # type: ignore[arg-type]
    sent.url = "http://changed/"
    entry.response.headers["etag"] = "changed"
    (found,) = storage.get_entries("k")
    found.response.headers["etag"] = "changed"
    found.request.headers["accept"] = "changed"
    found.response.status_code = 500
    (again,) = storage.get_entries("k")
    assert again.response.headers["etag"] == "1"
    assert again.response.status_code == 200
    assert again.request == request()


def test_header_lines_of_one_name_stay_apart(storage: MemoryStorage) -> None:
    headers = hishel.Headers({"set-cookie": ["a=1", "b=2"]})
    list(storage.create_entry(request(), hishel.Response(200, headers, iter(())), "k").response.stream)  # type: ignore[arg-type]
    (found,) = storage.get_entries("k")
    assert found.response.headers.get_list("set-cookie") == ["a=1", "b=2"]


def test_clear_during_a_save_is_not_undone_by_its_end(storage: MemoryStorage) -> None:
    entry = storage.create_entry(request(), response(b"body"), "k")
    storage.clear()
    assert list(entry.response.stream) == [b"body"]  # type: ignore[arg-type]
    assert storage.get_entries("k") == []


def test_clear_forgets_hishels_entries_too(storage: MemoryStorage) -> None:
    save(storage, "k")
    storage.clear()
    assert storage.get_entries("k") == []
    assert storage.size_bytes == 0


def test_closing_keeps_it_usable(storage: MemoryStorage) -> None:
    save(storage, "k")
    storage.close()
    assert len(storage.get_entries("k")) == 1


@pytest.mark.anyio
async def test_the_async_view_is_the_same_storage(storage: MemoryStorage) -> None:
    view = storage.as_async()

    async def chunks() -> AsyncIterator[bytes]:
        yield b"one"
        await anyio.lowlevel.checkpoint()
        yield b"two"

    headers = hishel.Headers({"etag": "1"})
    entry = await view.create_entry(request(), hishel.Response(200, headers, chunks()), "k")
    assert await view.get_entries("k") == []
    assert [chunk async for chunk in entry.response.stream] == [b"one", b"two"]  # type: ignore[union-attr]
    (found,) = await view.get_entries("k")
    assert [chunk async for chunk in found.response.stream] == [b"onetwo"]  # type: ignore[union-attr]
    assert bodies(storage, "k") == [b"onetwo"]
    await view.update_headers(entry.id, hishel.Headers({"etag": "2"}))
    assert storage.get_entries("k")[0].response.headers["etag"] == "2"
    await view.remove_entry(entry.id)
    assert await view.get_entries("k") == []
    await view.remove_entry(entry.id)
    await view.close()


@pytest.mark.anyio
async def test_the_async_view_saves_nothing_of_a_broken_stream() -> None:
    storage = MemoryStorage(max_stream_size=4)

    async def broken() -> AsyncIterator[bytes]:
        yield b"part"
        raise OSError("broken")

    async def long() -> AsyncIterator[bytes]:
        yield b"1234"
        yield b"5"

    view = storage.as_async()
    entry = await view.create_entry(request(), hishel.Response(200, stream=broken()), "k")
    with pytest.raises(OSError, match="broken"):
        async for _ in entry.response.stream:  # type: ignore[union-attr]
            pass
    entry = await view.create_entry(request(), hishel.Response(200, stream=long()), "k")
    assert [chunk async for chunk in entry.response.stream] == [b"1234", b"5"]  # type: ignore[union-attr]
    assert await view.get_entries("k") == []


def test_the_async_view_has_the_same_defaults() -> None:
    view = MemoryStorage(default_ttl=5, default_tti=6, max_stream_size=7).as_async()
    assert (view.default_ttl, view.default_tti, view.max_stream_size) == (5, 6, 7)


class Counting:
    def __init__(self, **headers: str) -> None:
        self.count = 0
        self.headers = headers

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.count += 1
        if request.headers.get("if-none-match") == self.headers.get("etag", "-"):
            return httpx.Response(304, headers=self.headers)
        return httpx.Response(200, content=b"%d" % self.count, headers=self.headers)


@pytest.mark.parametrize("rfc", [False, True])
def test_it_works_inside_hishels_sync_transport(rfc: bool) -> None:
    server = Counting(**{"cache-control": "max-age=100"})
    storage = MemoryStorage()
    transport = hishel.httpx.CacheTransport(httpx.MockTransport(server), storage=storage, rfc=rfc)
    with httpx.Client(transport=transport) as client:
        got: list[Any] = [client.get("http://host/a") for _ in range(3)]
    assert [response.text for response in got] == ["1", "1", "1"]
    assert [response.extensions["caching"]["from_cache"] for response in got] == [False, True, True]
    assert server.count == len(storage) == 1


def test_hishels_transport_revalidates_what_it_holds() -> None:
    server = Counting(**{"cache-control": "max-age=0", "etag": '"1"'})
    transport = hishel.httpx.CacheTransport(httpx.MockTransport(server), storage=MemoryStorage(), rfc=True)
    with httpx.Client(transport=transport) as client:
        got = [client.get("http://host/a") for _ in range(3)]
    assert [response.text for response in got] == ["1", "1", "1"]
    assert got[2].extensions["caching"]["revalidated"]
    assert server.count == 3


@pytest.mark.anyio
@pytest.mark.parametrize("rfc", [False, True])
async def test_it_works_inside_hishels_async_transport(rfc: bool) -> None:
    server = Counting(**{"cache-control": "max-age=100"})
    storage = MemoryStorage()
    transport = hishel.httpx.AsyncCacheTransport(httpx.MockTransport(server), storage=storage.as_async(), rfc=rfc)
    async with httpx.AsyncClient(transport=transport) as client:
        got = [await client.get("http://host/a") for _ in range(3)]
    assert [response.text for response in got] == ["1", "1", "1"]
    assert server.count == len(storage) == 1


def test_hishels_entries_and_ours_share_the_bounds() -> None:
    storage = MemoryStorage(max_entries=2)
    server = Counting()
    ours = httpx.Client(transport=CacheTransport(httpx.MockTransport(server), storage=storage))
    with ours:
        ours.get("http://host/a")
        save(storage, "k")
        ours.get("http://host/b")
        assert len(storage) == 2
        assert len(storage.get_entries("k")) == 1
        assert ours.get("http://host/a").text == "3"
