"""SharedStorage: one SQLite file under several clients, each as another process would be."""

from __future__ import annotations

import gzip
import logging
import os
import random
import shutil
import sqlite3
import stat
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anyio
import pytest

from pywats_cache import Controller, MemoryStorage, Read, SharedStorage, Write
from pywats_cache.storage import shared_coherence
from pywats_cache.testing import FakeClock

Make = Callable[..., Any]
TOKEN = "Bearer s3cr3t-t0k3n-of-the-test"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Make]:
    """Makes a storage on the same file, as another process does."""
    made: list[SharedStorage] = []

    def make(**options: Any) -> SharedStorage:
        made.append(SharedStorage(tmp_path / "c.db", **options))
        return made[-1]

    yield make
    for storage in made:
        storage.close()


@pytest.fixture
def process(lib: SimpleNamespace, origin: Any, store: Make) -> Iterator[Make]:
    """Makes a client with a storage of its own on the same file."""
    clients: list[Any] = []

    def make(controller: Controller | None = None, storage: Any = None, **options: Any) -> Any:
        transport = lib.CacheTransport(
            origin.transport,
            controller=controller or Controller([Read("/tagged", tags=("t",)), Write("/w", dirties=("t",))]),
            storage=storage or store(**options),
        )
        client = lib.http.Client(transport=transport, base_url="http://origin", headers={"Authorization": TOKEN})
        client.cache = transport
        clients.append(client)
        return client

    yield make
    for client in clients:
        client.close()


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_coherence, "RETRY", 0.0)


def status(response: Any) -> str:
    return str(response.extensions["pywats_cache"].status)


def test_what_one_fetched_the_other_finds(process: Make, origin: Any) -> None:
    one, other = process(), process()
    raw = gzip.compress(b'{"a": 1}')
    origin.reply = {"content": raw, "headers": {"Content-Encoding": "gzip", "X-Name": "v"}}
    miss = one.get("/a")
    hit = other.get("/a")
    assert (status(miss), status(hit), origin.count) == ("miss", "hit", 1)
    assert hit.json() == {"a": 1}
    assert hit.headers.raw == miss.headers.raw
    assert status(other.get("/a")) == "hit"


def test_what_an_ended_process_fetched_is_still_there(process: Make, origin: Any) -> None:
    first = process()
    first.get("/a")
    first.cache.storage.close()
    assert status(process().get("/a")) == "hit"
    assert origin.count == 1


def test_a_write_of_one_is_seen_by_the_other_at_once(process: Make) -> None:
    one, other = process(), process()
    assert [client.get("/a").text for client in (one, other)] == ["1", "1"]
    one.get("/tagged")
    other.get("/tagged")
    other.put("/a")
    assert one.get("/a").text == "4"
    assert one.get("/tagged").text == "2"
    other.post("/w")
    assert one.get("/tagged").text == "6"
    assert process().get("/tagged").text == "6"


def test_invalidate_and_clear_reach_the_others(process: Make) -> None:
    one, other = process(), process()
    one.get("/a"), other.get("/a")
    other.cache.invalidate("/a")
    assert one.get("/a").text == "2"
    other.cache.clear()
    assert one.get("/a").text == "3"


def test_a_read_in_flight_during_a_write_of_another_is_not_kept(process: Make, origin: Any) -> None:
    one, other = process(), process()

    def overtaken(request: Any) -> Any:
        count = origin.count
        if request.method == "GET" and count == 1:
            other.put("/a")
        return origin.http.Response(200, text=str(count))

    origin.reply = overtaken
    assert one.get("/a").text == "1"
    assert one.get("/a").text == "3"
    assert process().get("/a").text == "3"


@pytest.mark.parametrize(("code", "kept"), [(200, False), (500, False), (404, True)])
def test_reads_during_a_write_of_another_are_not_stored(process: Make, origin: Any, code: int, kept: bool) -> None:
    one, other = process(), process()
    during: list[Any] = []

    def reply(request: Any) -> Any:
        if request.method == "PUT":
            during.append(one.get("/a"))
            return origin.http.Response(code)
        return origin.http.Response(200, text=str(origin.count))

    origin.reply = reply
    other.put("/a")
    assert during[0].extensions["pywats_cache"].reason == "settling"
    assert not during[0].extensions["pywats_cache"].stored
    after = one.get("/a").extensions["pywats_cache"]
    assert after.status == "miss"
    assert after.stored is (code != 500)  # of unknown outcome: it goes on settling


def test_a_write_that_was_never_sent_leaves_no_window(process: Make, origin: Any) -> None:
    one, other = process(), process()

    def refuse(request: Any) -> Any:
        if request.method == "PUT":
            raise origin.http.ConnectError("refused")
        return origin.http.Response(200)

    origin.reply = refuse
    with pytest.raises(origin.http.ConnectError):
        other.put("/a")
    assert one.get("/a").extensions["pywats_cache"].stored


def test_credentials_stay_apart_and_the_same_ones_agree(process: Make, origin: Any) -> None:
    one, other = process(), process()
    one.get("/a")
    assert status(other.get("/a")) == "hit"
    assert status(other.get("/a", headers={"Authorization": "Bearer another"})) == "miss"


def test_a_401_drops_what_the_partition_holds_everywhere(process: Make, origin: Any) -> None:
    controller = Controller(drop_on=(401,))
    one, other = process(controller), process(controller)
    one.get("/a"), other.get("/a")
    origin.reply = {"status_code": 401}
    other.get("/b")
    origin.reply = {}
    assert status(one.get("/a")) == "miss"


def test_ages_count_from_the_fetch_of_the_other_process(
    process: Make, origin: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    process(Controller(ttl=60.0)).get("/a")
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + 30.0)
    age = process(Controller(ttl=60.0)).get("/a").extensions["pywats_cache"].age
    assert 30.0 <= age < 60.0
    monkeypatch.setattr(time, "time", lambda: real() + 61.0)
    assert status(process(Controller(ttl=60.0)).get("/a")) == "miss"


def test_a_wall_clock_that_was_set_back_revives_nothing(
    process: Make, origin: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    controller = Controller(ttl=60.0)
    process(controller).get("/a")
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() - 10.0)
    assert status(process(controller).get("/a")) == "miss"  # a negative age
    monkeypatch.setattr(time, "time", lambda: real() + 100.0)
    process(controller).get("/other")
    monkeypatch.setattr(time, "time", lambda: real() + 20.0)
    assert status(process(controller).get("/a")) == "miss"


def test_a_storage_finds_its_own_records_by_its_own_clock(
    lib: SimpleNamespace, origin: Any, clock: FakeClock, tmp_path: Path
) -> None:
    storage = SharedStorage(tmp_path / "c.db", memory=MemoryStorage(max_entries=1))
    transport = lib.CacheTransport(origin.transport, storage=storage, clock=clock, controller=Controller(ttl=60.0))
    with lib.http.Client(transport=transport, base_url="http://origin") as client:
        client.get("/a"), client.get("/b")
        clock.advance(59.0)
        assert client.get("/a").text == "1"
        clock.advance(1.0)
        assert client.get("/a").text == "3"
    storage.close()


def test_variants_are_told_apart_on_disk(process: Make, origin: Any) -> None:
    origin.reply = lambda request: origin.http.Response(
        200, text=request.headers.get("Accept-Language", "-"), headers={"Vary": "Accept-Language"}
    )
    one, other = process(), process()
    for language in ("da", "de"):
        one.get("/a", headers={"Accept-Language": language})
    for language in ("da", "de"):
        assert other.get("/a", headers={"Accept-Language": language}).text == language
    assert origin.count == 2


RFC = Controller(rfc9111=True)
POSTED = {"cache-control": "max-age=60", "content-location": "/a"}


@pytest.mark.parametrize("streamed", [False, True])
def test_the_answer_to_a_post_serves_the_get_of_every_process(process: Make, origin: Any, streamed: bool) -> None:
    one, other = process(RFC), process(RFC)
    origin.reply = {"headers": {"cache-control": "max-age=60"}}
    one.get("/a"), other.get("/a")
    origin.reply = {"content": iter([b"po", b"st"]) if streamed else b"post", "headers": POSTED}
    assert one.post("/a").content == b"post"
    assert [client.get("/a").content for client in (one, other, process(RFC))] == [b"post"] * 3
    assert origin.count == 2


@pytest.mark.parametrize(("another", "stored"), [("before", True), ("during", False), ("around", False)])
def test_the_answer_to_a_post_is_stored_only_where_its_place_among_the_writes_is_known(
    process: Make, origin: Any, another: str, stored: bool
) -> None:
    one, other = process(RFC), process(RFC)

    def reply(request: Any) -> Any:
        if request.method == "POST" and another == "during":
            other.put("/a")
        if request.method == "PUT" and another == "around":
            one.post("/a")
        return origin.http.Response(200, text=request.method, headers=POSTED)

    origin.reply = reply
    if another != "during":
        other.put("/a")
    if another != "around":
        one.post("/a")
    assert one.get("/a").text == process(RFC).get("/a").text == ("POST" if stored else "GET")


# ── secrets ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_no_credential_and_no_query_reach_the_disk(process: Make, origin: Any, tmp_path: Path) -> None:
    client = process(Controller(drop_on=(401,)))
    client.get("/a?password=qu3ry-s3cr3t", headers={"X-API-Key": "k3y-of-the-test", "Cookie": "sid=c00kie-value"})
    client.post("/a", content=b"b0dy-s3cr3t")
    client.get("http://user:us3rinf0@origin/a")
    for path in tmp_path.iterdir():
        content = path.read_bytes()
        for secret in (b"s3cr3t", b"k3y-of-the-test", b"c00kie-value", b"us3rinf0"):
            assert secret not in content, path.name


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such modes")
def test_every_file_is_its_owners_only(process: Make, tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        client = process()
        client.get("/a"), client.put("/a")
    finally:
        os.umask(before)
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o600}


# ── faults ────────────────────────────────────────────────────────────────────────────────────────────────────────


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="this system has no such users")
@pytest.mark.parametrize("kind", ["a directory that is not there", "a file in the place of the directory"])
def test_without_a_usable_directory_requests_succeed_and_it_comes_back(
    process: Make, origin: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    directory = tmp_path / "d"
    if kind.startswith("a file"):
        directory.write_text("")
    storage = SharedStorage(directory / "c.db")
    client = process(storage=storage)
    assert [client.get("/a").text for _ in range(3)] == ["1", "2", "3"]
    assert client.put("/a").status_code == 200
    assert len(warnings_of(caplog)) == 1
    assert client.cache.stats.storage_errors > 1
    if directory.exists():
        directory.unlink()
    directory.mkdir()
    assert [client.get("/a").text for _ in range(3)] == ["5", "5", "5"]
    storage.close()


@pytest.mark.skipif(not Path("/sys").is_dir(), reason="no directory here that nobody can write to, not even root")
def test_a_read_only_directory_costs_no_request(process: Make, caplog: pytest.LogCaptureFixture) -> None:
    client = process(storage=SharedStorage("/sys/c.db"))
    assert [client.get("/a").text for _ in range(3)] == ["1", "2", "3"]
    assert client.put("/a").status_code == 200
    assert len(warnings_of(caplog)) == 1


def test_a_full_disk_costs_no_request(process: Make, origin: Any, caplog: pytest.LogCaptureFixture) -> None:
    one, other = process(), process()
    one.get("/a"), other.get("/a")
    for file in (one.cache.storage._ledger._file, one.cache.storage._records._file):
        pages = file.read(lambda connection: connection.execute("PRAGMA page_count").fetchone()[0])
        file.read(lambda connection, pages=pages: connection.execute(f"PRAGMA max_page_count={pages}"))
    origin.reply = lambda request: origin.http.Response(200, text=f"{origin.count} " + "x" * 20_000)
    assert one.get("/b").text.startswith("2 ")
    for n in range(20):
        assert one.put(f"/{'p' * 400}/{n}").status_code == 200
    assert len(warnings_of(caplog)) == 1
    assert "full" in warnings_of(caplog)[0]
    # The bumps that could not be committed: what was stored before is not served, here or there.
    assert other.get("/a").text != "1"
    assert one.get("/a").text != "1"
    assert one.put("/a").status_code == 200
    one.cache.storage.close()
    one.get("/c")
    assert status(one.get("/c")) == "hit"


@pytest.mark.parametrize("suffix", ["", "-ledger"])
def test_a_locked_database_holds_up_no_request_for_long(
    process: Make, origin: Any, tmp_path: Path, suffix: str
) -> None:
    one, other = process(), process()
    one.get("/a"), other.get("/a")
    lock = sqlite3.connect(tmp_path / f"c.db{suffix}", isolation_level=None)
    lock.execute("BEGIN IMMEDIATE")
    for request in (lambda: one.get("/b"), lambda: one.put("/a"), lambda: one.get("/a"), lambda: other.get("/a")):
        began = time.monotonic()
        response = request()
        assert time.monotonic() - began < 3.0
        assert response.status_code == 200
    assert other.get("/a").text != "1"
    lock.execute("ROLLBACK")
    lock.close()
    one.get("/c")
    assert status(one.get("/c")) == "hit"
    assert status(other.get("/c")) == "hit"


def test_a_corrupt_row_is_never_served(process: Make, origin: Any, tmp_path: Path, caplog: Any) -> None:
    process().get("/a")
    connection = sqlite3.connect(tmp_path / "c.db")
    (data,) = connection.execute("SELECT data FROM records").fetchone()
    with connection:
        connection.execute("UPDATE records SET data = ?", (data[:-1] + bytes([data[-1] ^ 1]),))
    connection.close()
    client = process()
    assert client.get("/a").text == "2"
    assert "damaged record" in warnings_of(caplog)[0]
    assert process().get("/a").text == "2"


@pytest.mark.parametrize("name", ["c.db", "c.db-ledger", "c.db-epoch"])
@pytest.mark.parametrize("harm", ["removed", "overwritten"])
def test_a_file_lost_between_two_runs_is_made_again(
    process: Make, origin: Any, tmp_path: Path, name: str, harm: str
) -> None:
    first = process()
    first.get("/a")
    first.cache.storage.close()
    if harm == "removed":
        (tmp_path / name).unlink()
    else:
        (tmp_path / name).write_bytes(os.urandom(9000))
    client = process()
    assert client.get("/a").text in ("1", "2")
    client.put("/a")
    assert client.get("/a").text == process().get("/a").text == str(origin.count)


def test_files_removed_in_use_are_made_again(process: Make, origin: Any, tmp_path: Path) -> None:
    one, other = process(), process()
    one.get("/a"), other.get("/a")
    for path in list(tmp_path.iterdir()):
        path.unlink()
    assert one.put("/a").status_code == 200
    one.get("/a")
    assert status(one.get("/a")) == "hit"
    other.get("/b")  # notices
    assert other.get("/a").text == one.get("/a").text


def test_a_key_that_cannot_be_had_keeps_records_unshared(
    process: Make, origin: Any, tmp_path: Path, caplog: Any
) -> None:
    (tmp_path / "c.db-key").write_bytes(b"not a key")
    one, other = process(), process()
    assert [client.get("/a").text for client in (one, other, one)] == ["1", "2", "1"]
    assert "must hold 32 bytes" in warnings_of(caplog)[0]
    one.put("/a")
    assert other.get("/a").text == "4"


def test_after_a_power_loss_at_any_moment_nothing_old_is_served(process: Make, origin: Any, tmp_path: Path) -> None:
    """All files are copied within a step of SQLite's, again and again; each copy is what a machine would find."""
    values: dict[str, int] = {}
    copies: list[tuple[Path, dict[str, int]]] = []
    seed = random.Random(3)
    client = process()
    storage = client.cache.storage

    def server(request: Any) -> Any:
        path = request.url.path
        if request.method == "PUT":
            values[path] = values.get(path, 0) + 1
        return origin.http.Response(200, text=str(values.get(path, 0)))

    def step() -> int:
        if seed.random() < 0.1 and len(copies) < 25:
            copy = tmp_path / f"copy{len(copies)}"
            copy.mkdir()
            for path in tmp_path.iterdir():
                if path.is_file() and not path.name.endswith("-shm"):
                    shutil.copy(path, copy)
            if seed.random() < 0.3:  # the system had not written the mapped page yet
                (copy / "c.db-epoch").write_bytes(bytes(4096))
            copies.append((copy, dict(values)))
        return 0

    origin.reply = server
    client.get("/0")
    for file in (storage._ledger._file, storage._records._file):
        file.read(lambda connection: connection.set_progress_handler(step, 20))
    while len(copies) < 25:
        client.request(seed.choice(["GET", "GET", "PUT"]), f"/{seed.randrange(4)}")
    for file in (storage._ledger._file, storage._records._file):
        file.read(lambda connection: connection.set_progress_handler(None, 20))
    hits = 0
    for copy, held in copies:
        values.clear()
        values.update(held)
        restarted = SharedStorage(copy / "c.db")
        reader = process(storage=restarted)
        for n in range(4):
            response = reader.get(f"/{n}")
            assert response.text == str(held.get(f"/{n}", 0))
            hits += status(response) == "hit"
        restarted.close()
    assert hits > 0


# ── async ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.anyio
async def test_sync_and_async_transports_share_one_store(
    lib: SimpleNamespace, origin: Any, store: Make, process: Make
) -> None:
    storage = store()
    sync = process(storage=storage)
    elsewhere = process()
    async with lib.http.AsyncClient(
        transport=lib.AsyncCacheTransport(origin.transport, storage=storage),
        base_url="http://origin",
        headers={"Authorization": TOKEN},
    ) as client:
        assert (await client.get("/a")).text == "1"
        assert sync.get("/a").text == elsewhere.get("/a").text == "1"
        await client.put("/a")
        assert sync.get("/a").text == "3"
        elsewhere.put("/a")
        assert (await client.get("/a")).text == "5"
        await client._transport.invalidate("/a")
        assert elsewhere.get("/a").text == "6"
        await client._transport.clear()
        assert (await client.get("/a")).text == "7"


@pytest.mark.anyio
async def test_no_database_is_used_in_the_thread_of_the_event_loop(
    lib: SimpleNamespace, origin: Any, store: Make, process: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    import threading

    from pywats_cache.storage.sqlite_file import SqliteFile

    loop = threading.get_ident()
    used: set[int] = set()
    real = SqliteFile._transaction
    elsewhere = process()

    def noted(self: SqliteFile, begin: str, work: Any) -> Any:
        used.add(threading.get_ident())
        return real(self, begin, work)

    controller = Controller([Read("/tagged", tags=("t",)), Write("/w", dirties=("t",))], drop_on=(401, 403))
    async with lib.AsyncCacheClient(
        transport=origin.transport, storage=store(), controller=controller, base_url="http://origin"
    ) as client:
        monkeypatch.setattr(SqliteFile, "_transaction", noted)
        await client.get("/a")
        await client.get("/a")
        await client.put("/a")
        await anyio.to_thread.run_sync(elsewhere.put, "/a")
        await client.get("/a")
        await anyio.to_thread.run_sync(elsewhere.put, "/a")
        await client.get("/a")
        await client.cache.invalidate("/a")
        origin.reply = {"status_code": 401}
        await client.get("/b")
        await client.put("/b")
        await client.cache.clear()
        used_by_loop = loop in used
    assert used
    assert not used_by_loop


class EveryMoment:
    """Lets another process dirty something just before each look at the epoch that `loop` takes, as if by chance."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, bump: Callable[[], object]) -> None:
        import threading

        from pywats_cache.storage.shared_coherence import SharedCoherence
        from pywats_cache.storage.sqlite_file import SqliteFile

        self.armed = False
        self.looks = 0
        self.transactions: list[int] = []
        loop, epoch, transaction = threading.get_ident(), SharedCoherence.epoch, SqliteFile._transaction

        def looked_at(coherence: SharedCoherence) -> int:
            if self.armed and threading.get_ident() == loop:
                self.looks += 1
                thread = threading.Thread(target=bump)
                thread.start()
                thread.join()
            return epoch.fget(coherence)  # type: ignore[attr-defined,no-any-return]

        def noted(file: SqliteFile, begin: str, work: Any) -> Any:
            if self.armed:
                self.transactions.append(threading.get_ident() == loop)
            return transaction(file, begin, work)

        monkeypatch.setattr(SharedCoherence, "epoch", property(looked_at, epoch.fset))  # type: ignore[attr-defined]
        monkeypatch.setattr(SqliteFile, "_transaction", noted)

    @property
    def blocked(self) -> bool:
        return any(self.transactions)


@pytest.mark.anyio
@pytest.mark.parametrize("mutant", [False, True])
async def test_a_bump_at_any_moment_of_a_request_does_not_block_the_event_loop(
    lib: SimpleNamespace, origin: Any, store: Make, monkeypatch: pytest.MonkeyPatch, mutant: bool
) -> None:
    from pywats_cache.storage.shared_coherence import SharedCoherence

    elsewhere = store().memory.coherence
    clock = FakeClock()
    controller = Controller(ttl=60.0, stale_if_error=600.0)
    moment = EveryMoment(monkeypatch, lambda: elsewhere.bump(("another",)))
    if mutant:
        monkeypatch.setattr(SharedCoherence, "without_io", lambda coherence, step, *arguments: step(*arguments))

    async def unknown_length() -> Any:
        yield b"1"

    def reply(request: Any) -> Any:
        if request.url.path == "/etag" and "If-None-Match" in request.headers:
            return origin.http.Response(304, headers={"ETag": '"1"'})
        if request.url.path == "/down" and origin.count > 1:
            raise origin.http.ConnectError("down")
        if request.url.path == "/stream":
            return origin.http.Response(200, content=unknown_length())
        return origin.http.Response(200, text="1", headers={"ETag": '"1"'} if request.url.path == "/etag" else {})

    origin.reply = reply
    async with lib.AsyncCacheClient(
        transport=origin.transport, storage=store(), controller=controller, base_url="http://origin", clock=clock
    ) as client:
        moment.armed = True
        for path in ("/down", "/a", "/stream", "/etag"):
            statuses = [status(await client.get(path)) for _ in range(4)]
            assert statuses == ["miss", "hit", "hit", "hit"]  # nor does it cost a hit
            clock.advance(61.0)
            statuses.append(status(await client.get(path)))
            assert statuses[-1] == {"/etag": "revalidated", "/down": "stale"}.get(path, "miss")
        assert status(await client.options("/a")) == "bypass"
        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(client.get, "/together")
        moment.armed = False
    assert moment.looks > 20
    assert moment.blocked is mutant


@pytest.mark.anyio
async def test_no_answer_to_another_method_blocks_the_event_loop_in_rfc_mode(
    lib: SimpleNamespace, origin: Any, store: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = store().memory.coherence
    moment = EveryMoment(monkeypatch, lambda: elsewhere.bump(("another",)))
    origin.reply = lambda request: origin.http.Response(
        200, text=request.method, headers={**POSTED, "etag": '"1"' if request.method == "GET" else '"2"'}
    )
    async with lib.AsyncCacheClient(
        transport=origin.transport, storage=store(), controller=RFC, base_url="http://origin"
    ) as client:
        moment.armed = True
        await client.get("/b")
        await client.head("/b", headers={"Cache-Control": "no-cache"})  # which tells that there is a newer one
        await client.post("/a")
        assert (await client.get("/b")).text == "GET"
        moment.armed = False
        assert (await client.get("/a")).text == "POST"
        assert origin.count == 4
    assert moment.looks > 5
    assert not moment.blocked


@pytest.mark.anyio
async def test_a_cancelled_write_is_finished_for_the_others(
    lib: SimpleNamespace, origin: Any, store: Make, process: Make
) -> None:
    elsewhere = process()
    elsewhere.get("/a")
    reached = anyio.Event()

    class Hangs(lib.http.AsyncBaseTransport):  # type: ignore[name-defined,misc]
        async def handle_async_request(self, request: Any) -> Any:
            reached.set()
            await anyio.sleep_forever()

    async with (
        lib.http.AsyncClient(
            transport=lib.AsyncCacheTransport(Hangs(), storage=store()), base_url="http://origin", timeout=5.0
        ) as client,
        anyio.create_task_group() as group,
    ):
        group.start_soon(client.put, "/a")
        await reached.wait()
        group.cancel_scope.cancel()
    again = await anyio.to_thread.run_sync(elsewhere.get, "/a")
    assert again.text == "2"
    assert again.extensions["pywats_cache"].reason == "settling"
    windows = elsewhere.cache.storage.memory.coherence._windows
    assert max(windows.values()) - time.monotonic() <= 5.0  # the window of its unknown outcome, not the lease


@pytest.mark.parametrize("what", [{"path": "/tagged"}, {"tags": ("t",)}])
def test_invalidation_reaches_origins_that_this_process_never_saw(process: Make, origin: Any, what: Any) -> None:
    one, other = process(), process()
    one.get("/tagged/a")
    one.get("http://[::1]:81/tagged")
    one.get("/tagged")
    one.get("/sibling")
    other.cache.invalidate(what.get("path"), tags=what.get("tags", ()))
    assert status(one.get("/sibling")) == "hit"
    assert status(one.get("http://[::1]:81/tagged")) == "miss"
    assert status(one.get("/tagged")) == "miss"
    assert status(one.get("/tagged/a")) == ("miss" if "path" in what else "hit")
    assert [status(one.get(path)) for path in ("/tagged", "/tagged/a")] == ["hit", "hit"]


def test_soft_invalidation_reaches_them_too(process: Make) -> None:
    one, other = process(), process()
    one.get("/tagged")
    other.cache.invalidate(tags=("t",), soft=True)
    explained = one.cache.explain(one.build_request("GET", "/tagged"))
    assert (explained.softened, explained.dirtied_by) == (True, None)


def test_an_explanation_sees_what_another_process_stored(process: Make, origin: Any) -> None:
    one, other = process(), process()

    def explain(path: str, **headers: str) -> tuple[str, str]:
        found = other.cache.explain(other.build_request("GET", path, headers=headers))
        return found.status, found.reason

    assert explain("/tagged") == ("miss", "unknown")
    origin.reply = {"headers": {"Vary": "X-Kind"}}
    one.get("/tagged", headers={"X-Kind": "1"})
    assert explain("/tagged", **{"X-Kind": "1"}) == ("hit", "fresh")
    assert explain("/tagged", **{"X-Kind": "2"}) == ("miss", "unknown")
    assert explain("/tagged", **{"X-Kind": "1", "Authorization": "another"}) == ("miss", "unknown")
    one.cache.invalidate(tags=("t",))
    assert explain("/tagged", **{"X-Kind": "1"}) == ("miss", "dirtied")
    found = other.cache.explain(other.build_request("GET", "/tagged", headers={"X-Kind": "1"}))
    assert found.dirtied_by == "#*#t"
    assert len(other.cache.storage._rows.get(found.key or "")) == 0  # it has another name: the variant's
    assert other.cache.stats.requests == 0
    assert other.cache.stats.entries == 0
