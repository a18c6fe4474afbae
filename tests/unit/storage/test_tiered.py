"""TieredStorage: memory first, then any hishel storage; coherent, redacted, and never a reason to fail."""

from __future__ import annotations

import gzip
import logging
import os
import signal
import sqlite3
import traceback
import uuid
import warnings
from collections.abc import Callable, Iterator
from hashlib import blake2b
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import hishel
import pytest

from pywats_cache import CacheOutcome, CachingError, Controller, MemoryStorage, Read, TieredStorage, Write
from pywats_cache.testing import FakeClock

Outcome = Callable[[Any], CacheOutcome]
Make = Callable[..., Any]


@pytest.fixture
def outer(tmp_path: Path) -> Iterator[hishel.SqliteStorage]:
    """A hishel storage on disk."""
    storage = hishel.SqliteStorage(database_path=tmp_path / "cache.db")
    yield storage
    storage.close()


@pytest.fixture
def tiered(outer: hishel.SqliteStorage) -> TieredStorage:
    """A memory of one entry, so that everything else is found on disk only."""
    return TieredStorage(MemoryStorage(max_entries=1), outer)


@pytest.fixture
def client(cached: Make, tiered: TieredStorage) -> Any:
    controller = Controller([Read("/tagged", tags=("t",)), Write("/w", dirties=("t",))])
    return cached(controller, tiered)


@pytest.mark.parametrize("memory", [None, {}, MemoryStorage, MemoryStorage().as_async()])
def test_the_memory_must_be_a_memory(memory: Any, outer: Any) -> None:
    with pytest.raises(TypeError, match="memory must be a MemoryStorage") as caught:
        TieredStorage(memory, outer)
    assert isinstance(caught.value, CachingError)


@pytest.mark.parametrize("given", [None, {}, "cache.db", hishel.SqliteStorage, MemoryStorage()])
def test_the_outer_must_be_a_hishel_storage(given: Any) -> None:
    with pytest.raises(TypeError, match="outer must be a hishel storage") as caught:
        TieredStorage(MemoryStorage(), given)
    assert isinstance(caught.value, CachingError)


def test_what_memory_let_go_is_found_in_the_outer(client: Any, origin: Any, outcome: Outcome) -> None:
    for path in ("/a", "/b", "/c"):
        client.get(path)
    assert client.cache.stats.entries == 1
    got = [client.get(path) for path in ("/a", "/b", "/c")]
    assert [response.text for response in got] == ["1", "2", "3"]
    assert [outcome(response)[:2] for response in got] == [("hit", "fresh")] * 3
    stats = client.cache.stats
    assert (stats.hits, stats.misses, stats.requests) == (3, 3, 6)
    assert origin.count == 3


def test_a_body_that_is_only_there_decoded_stays_in_memory(client: Any, origin: Any, outcome: Outcome) -> None:
    def read(request: Any) -> Any:
        zipped = origin.http.ByteStream(gzip.compress(request.url.raw_path))
        response = origin.http.Response(200, headers={"Content-Encoding": "gzip"}, stream=zipped)
        response.read()
        response.stream = origin.http.Response(200, content=iter([])).stream
        return response

    origin.reply = read
    assert [client.get("/a").text for _ in range(2)] == ["/a", "/a"]
    assert client.get("/b").text == "/b"
    again = client.get("/a")
    assert (again.text, *outcome(again)[:2]) == ("/a", "miss", "unknown")
    assert client.cache.stats.storage_errors == 0


def test_everything_of_an_answer_comes_back(client: Any, origin: Any) -> None:
    raw = gzip.compress(b'{"a": 1}')
    headers = [("Content-Type", "application/json"), ("Content-Encoding", "gzip"), ("X-Two", "1"), ("X-Two", "\xe4")]
    origin.reply = lambda request: origin.http.Response(
        200,
        headers=[(name, value.encode("latin-1")) for name, value in headers],
        content=raw,
        extensions={"reason_phrase": b"Fine", "http_version": b"HTTP/2"},
    )
    miss = client.get("/a")
    client.get("/b")
    with client.stream("GET", "/a") as hit:
        assert b"".join(hit.iter_raw()) == raw
    client.get("/b")
    hit = client.get("/a")
    assert hit.extensions["pywats_cache"].status == "hit"
    assert hit.json() == {"a": 1}
    assert hit.headers.raw == miss.headers.raw
    assert (hit.reason_phrase, hit.http_version, hit.status_code) == ("Fine", "HTTP/2", 200)
    assert origin.count == 2


def test_a_write_dirties_what_is_in_the_outer(client: Any, outcome: Outcome) -> None:
    for path in ("/a", "/tagged", "/c"):
        client.get(path)
    client.put("/a")
    assert client.get("/a").text == "5"
    client.post("/w")
    assert client.get("/tagged").text == "7"
    assert client.get("/c").text == "3"


def test_invalidate_and_clear_reach_the_outer(client: Any) -> None:
    for path in ("/a", "/b", "/c"):
        client.get(path)
    client.cache.invalidate("/a")
    assert [client.get(path).text for path in ("/a", "/b")] == ["4", "2"]
    client.cache.clear()
    assert [client.get(path).text for path in ("/a", "/b", "/c")] == ["5", "6", "7"]


def test_a_read_in_flight_during_a_write_is_not_kept_in_the_outer_either(client: Any, origin: Any) -> None:
    def overtaken(request: Any) -> Any:
        if request.method == "GET" and origin.count == 1:
            client.put("/a")
        return origin.http.Response(200, text=str(origin.count))

    origin.reply = overtaken
    client.get("/a")
    assert client.get("/a").text == "3"


def test_a_fetch_in_the_settle_window_is_neither_taken_from_nor_put_into_the_outer(
    client: Any, origin: Any, outcome: Outcome
) -> None:
    client.get("/a/x")
    client.get("/b")
    origin.reply = {"status_code": 500}
    client.put("/a/x")
    origin.reply = {}
    assert [outcome(client.get("/a/x")).reason for _ in range(2)] == ["settling"] * 2


def test_the_ttl_holds_in_the_outer_on_the_clock_of_the_transport(client: Any, clock: FakeClock) -> None:
    client.get("/a")
    client.get("/b")
    clock.advance(299)
    assert client.get("/a").text == "1"
    client.get("/b")
    clock.advance(2)
    assert client.get("/a").text == "3"


def test_what_expired_in_memory_is_not_revived_by_the_outer(client: Any, clock: FakeClock) -> None:
    client.get("/a")
    clock.advance(301)
    assert client.get("/a").text == "2"


def test_credentials_separate_in_the_outer(client: Any) -> None:
    for user in ("one", "two"):
        client.get("/a", headers={"Authorization": user})
    assert client.get("/a", headers={"Authorization": "one"}).text == "1"
    assert client.get("/a").text == "3"


def test_variants_are_told_apart_in_the_outer(client: Any, origin: Any) -> None:
    origin.reply = {"headers": {"Vary": "X-Mode"}}
    for mode in "123":
        client.get("/a", headers={"X-Mode": mode})
    assert [client.get("/a", headers={"X-Mode": mode}).text for mode in "123"] == ["1", "2", "3"]


def test_nothing_of_the_request_reaches_the_disk(client: Any, tmp_path: Path, outer: hishel.SqliteStorage) -> None:
    secrets = ("hush-token", "hush-cookie", "hush-query", "hush-password")
    client.get(
        "http://user:hush-password@origin/a?q=hush-query",
        headers={"Authorization": "Bearer hush-token", "Cookie": "s=hush-cookie"},
    )
    outer.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # type: ignore[union-attr]
    written = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert len(written) > 4000
    assert not [secret for secret in secrets if secret.encode() in written]


def test_refresh_and_bypass_do_not_ask_the_outer(client: Any) -> None:
    client.get("/a")
    client.get("/b")
    assert client.get("/a", headers={"Cache-Control": "no-cache"}).text == "3"
    client.get("/b")
    assert client.get("/a").text == "3"


def test_a_streamed_body_reaches_the_outer_at_its_clean_end(client: Any, origin: Any, lib: SimpleNamespace) -> None:
    class Chunks(lib.http.SyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            yield b"one"
            yield b"two"

    origin.reply = lambda request: origin.http.Response(200, stream=Chunks())
    with client.stream("GET", "/early") as response:
        next(response.iter_raw())
    with client.stream("GET", "/whole") as response:
        assert response.read() == b"onetwo"
    client.get("/other")
    assert client.get("/whole").content == b"onetwo"
    assert origin.count == 3
    client.get("/early")
    assert origin.count == 4


def damage(path: Path, how: str) -> None:
    with sqlite3.connect(path) as connection:
        ((data,),) = connection.execute("SELECT chunk_data FROM streams WHERE chunk_number = 0").fetchall()
        changed = {"flipped": data[:-1] + bytes([data[-1] ^ 1]), "short": data[:-1], "other": b"x" * 50, "empty": b""}
        connection.execute("UPDATE streams SET chunk_data = ? WHERE chunk_number = 0", (changed[how],))
    connection.close()


@pytest.mark.parametrize("how", ["flipped", "short", "other", "empty"])
def test_a_damaged_record_is_never_served(client: Any, tmp_path: Path, outcome: Outcome, how: str) -> None:
    client.get("/a")
    damage(tmp_path / "cache.db", how)
    client.get("/b")
    response = client.get("/a")
    assert response.text == "3"
    assert outcome(response).status == "miss"
    assert client.cache.stats.storage_errors >= 1


def test_a_record_of_another_storage_is_never_served(cached: Make, outer: Any) -> None:
    one = cached(storage=TieredStorage(MemoryStorage(max_entries=1), outer))
    other = cached(storage=TieredStorage(MemoryStorage(max_entries=1), outer))
    one.get("/a")
    assert other.get("/a").text == "2"
    assert one.get("/a").text == "1"


def test_a_record_forged_with_all_that_the_database_tells_is_never_served(
    client: Any, tmp_path: Path, outcome: Outcome
) -> None:
    client.get("/a")
    with sqlite3.connect(tmp_path / "cache.db") as connection:
        ((data,),) = connection.execute("SELECT chunk_data FROM streams WHERE chunk_number = 0").fetchall()
        genuine = data[20:]  # after the version and the checksum
        forged = genuine[:-1] + b"9"
        made = data[:4] + blake2b(forged, digest_size=16).digest() + forged
        connection.execute("UPDATE streams SET chunk_data = ? WHERE chunk_number = 0", (made,))
    connection.close()
    client.get("/b")
    assert client.get("/a").text == "3"


def test_a_cookie_that_an_answer_sets_is_not_written(cached: Make, outer: Any, origin: Any, tmp_path: Path) -> None:
    origin.reply = {"headers": {"Set-Cookie": "sid=c00kie", "Cache-Control": "max-age=60", "X-Kept": "kept"}}
    client = cached(Controller(rfc9111=True), TieredStorage(MemoryStorage(max_entries=1), outer))
    client.get("/a"), client.get("/b")
    written = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"X-Kept" in written
    assert b"c00kie" not in written
    assert client.get("/a").headers["x-kept"] == "kept"


class Failing(hishel.BaseStorage):
    """Fails in everything it is asked."""

    def _fail(self, *args: Any, **options: Any) -> Any:
        raise OSError("the disk is full")

    create_entry = get_entries = update_headers = remove_entry = _fail


def test_a_failing_outer_never_fails_a_request(
    cached: Make, outcome: Outcome, caplog: pytest.LogCaptureFixture
) -> None:
    client = cached(storage=TieredStorage(MemoryStorage(max_entries=1), Failing()))
    with caplog.at_level(logging.WARNING, "pywats_cache"):
        for count in (1, 2, 3):
            assert client.get(f"/{count}").text == str(count)
    assert client.get("/3").text == "3"
    assert client.cache.stats.storage_errors == 6
    assert len(caplog.records) == 1, "said once, not for each request"
    assert "Failing" in caplog.text


class AsyncDict(hishel.AsyncBaseStorage):
    """An async storage that is not ours."""

    def __init__(self) -> None:
        super().__init__()
        self.saved: dict[str, list[tuple[uuid.UUID, Any, bytes]]] = {}

    async def create_entry(self, request: Any, response: Any, key: str, *, ttl: Any = None, tti: Any = None) -> Any:
        id = uuid.uuid4()

        async def saving() -> Any:
            body = b""
            async for chunk in response.stream:
                body += chunk
                yield chunk
            self.saved.setdefault(key, []).append((id, request, body))

        return hishel.Entry(id, request, hishel.Response(200, stream=saving()))

    async def get_entries(self, key: str) -> Any:
        async def stream(body: bytes) -> Any:
            yield body

        return [
            hishel.Entry(id, request, hishel.Response(200, stream=stream(body)))
            for id, request, body in self.saved.get(key, [])
        ]

    async def update_headers(self, id: uuid.UUID, headers: Any) -> None:
        raise NotImplementedError

    async def remove_entry(self, id: uuid.UUID) -> None:
        for entries in self.saved.values():
            entries[:] = [entry for entry in entries if entry[0] != id]


@pytest.mark.anyio
async def test_an_async_outer_serves_the_async_transport(
    lib: SimpleNamespace, origin: Any, clock: FakeClock, outcome: Outcome
) -> None:
    outer = AsyncDict()
    storage = TieredStorage(MemoryStorage(max_entries=1), outer)
    transport = lib.AsyncCacheTransport(origin.transport, storage=storage, clock=clock)
    async with lib.http.AsyncClient(transport=transport, base_url="http://origin") as client:
        for path in ("/a", "/b"):
            await client.get(path)
        response = await client.get("/a")
        assert (response.text, outcome(response).status) == ("1", "hit")
        await client.put("/a")
        assert (await client.get("/a")).text == "4"
        assert sum(len(entries) for entries in outer.saved.values()) == 2, "the outdated record was removed"
        assert repr(storage).endswith("AsyncDict)")


def test_a_repr_names_the_outer(tiered: TieredStorage) -> None:
    assert repr(tiered) == f"TieredStorage({tiered.memory!r}, SqliteStorage)"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_takes_nothing_that_the_parents_writes_may_have_dirtied(client: Any, origin: Any) -> None:
    client.get("/a")
    client.put("/a")  # of which the child's new coherence knows nothing
    client.get("/b")
    read, write = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        signal.alarm(30)
        try:
            assert client.get("/a").text == "4"
        except BaseException:
            os.write(write, traceback.format_exc()[-3000:].encode())
            os._exit(1)
        os._exit(0)
    os.close(write)
    _, status = os.waitpid(child, 0)
    with open(read, "rb") as pipe:
        problem = pipe.read().decode()
    assert os.waitstatus_to_exitcode(status) == 0, problem or status
    assert client.get("/a").text == "4"
