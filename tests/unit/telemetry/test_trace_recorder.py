"""The trace: what it holds, what it does not, and that nobody waits for it."""

from __future__ import annotations

import gc
import json
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from pywats_cache import Controller, MemoryStorage, Read, Write
from pywats_cache.coherence.single_flight import Flight
from pywats_cache.diagnostics.simulate import Setting, read_trace, simulate
from pywats_cache.storage.eviction import POLICIES
from pywats_cache.telemetry.trace_recorder import BACKLOG, Recorder, rotated
from pywats_cache.testing import FakeClock

CONTROLLER = Controller([Read("/a/**", ttl=60, tags=("a",)), Write("/a/**")])
SECRETS = {"Authorization": "Basic c2VjcmV0"}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "trace.jsonl"


@pytest.fixture
def recorded(lib: Any, origin: Any, path: Path) -> Iterator[Callable[..., Any]]:
    clients = []

    def make(**options: Any) -> Any:
        client = lib.CacheClient(transport=origin.transport, base_url="http://origin", record=path, **options)
        clients.append(client)
        return client

    yield make
    for client in clients:
        client.close()


def lines(client: Any, path: Path) -> list[dict[str, Any]]:
    client.cache._engine.recorder.flush()
    return read_trace(path)


def test_a_trace_holds_requests_stores_and_what_was_dirtied(recorded: Callable[..., Any], path: Path) -> None:
    client = recorded(controller=CONTROLLER)
    for _ in range(3):  # a miss, and two lookups
        client.get("/a/1")
    client.put("/a/1")
    client.get("/a/1")
    client.cache.clear()
    events = lines(client, path)
    assert [event["e"] for event in events] == ["s", "q", "q", "q", "d", "q", "s", "q", "c"]
    asked = [(e["s"], e["r"], e["m"]) for e in events if e["e"] == "q"]
    assert asked == [
        ("miss", "unknown", "GET"), ("hit", "fresh", ""), ("hit", "fresh", ""),
        ("bypass", "write", "PUT"), ("miss", "dirtied", "GET"),
    ]  # fmt: skip
    assert events[0]["k"] == events[1]["k"]
    assert events[0]["ttl"] == 60
    assert events[0]["n"] == events[2]["n"] > 700
    assert events[1]["ms"] >= 0
    assert events[1]["rule"] == "/a/**"
    assert set(events[4]["tags"]) & set(events[0]["tags"])
    assert client.cache.stats.lookups == sum("l" in event for event in events) == 2


def test_each_lookup_is_recorded_once_whatever_answers_it(
    recorded: Callable[..., Any], path: Path, clock: FakeClock
) -> None:
    rules = [Read("/ahead", ttl=20.0, refresh_ahead=0.5)]
    client = recorded(controller=Controller(rules, ttl=10.0, stale_while_revalidate=60.0), clock=clock)
    client.cache._threads.start = lambda fetch: True  # its refresh takes as long as the test
    for url in ("/stale", "/ahead"):
        client.get(url), client.get(url)
    clock.advance(11.0)
    before = len(lines(client, path))
    for url in ("/stale", "/stale", "/ahead", "/ahead"):  # the first of each starts a refresh
        client.get(url)
    told = [(event["s"], event["r"], event["m"], event["l"]) for event in lines(client, path)[before:]]
    assert told == [("stale", "while-revalidate", "", 1)] * 2 + [("hit", "ahead", "", 1)] * 2
    assert client.cache.stats.lookups == sum("l" in event for event in lines(client, path)) == 6


def test_a_lookup_that_waited_is_recorded_once(
    recorded: Callable[..., Any], path: Path, lib: Any, origin: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = recorded()
    client.lookup("GET", "/a")
    original = Flight.on_landing
    inside, go_on = threading.Event(), threading.Event()

    def reply(request: Any) -> Any:
        inside.set()
        assert go_on.wait(20)
        return origin.http.Response(200, text="1")

    origin.reply = reply
    monkeypatch.setattr(Flight, "on_landing", lambda flight, wake: (go_on.set(), original(flight, wake)))
    with ThreadPoolExecutor(2) as pool:
        leader = pool.submit(client.get, "/a")
        assert inside.wait(20)
        pool.submit(client.get, "/a").result(20)
        leader.result(20)
    told = sorted((event["s"], event["m"], "l" in event) for event in lines(client, path) if event["e"] == "q")
    assert told == [("collapsed", "", True), ("miss", "GET", False)]


def test_rfc_mode_records_too(recorded: Callable[..., Any], origin: Any, path: Path) -> None:
    client = recorded(controller=Controller(rfc9111=True))
    origin.reply = {"headers": {"Cache-Control": "max-age=60"}}
    for _ in range(3):
        client.get("/a")
    asked = [event["s"] for event in lines(client, path) if event["e"] == "q"]
    assert asked == ["miss", "hit", "hit"]
    assert client.cache.stats.hits == 2


def test_no_secret_no_url_and_no_body_is_in_it(recorded: Callable[..., Any], origin: Any, path: Path) -> None:
    client = recorded(controller=CONTROLLER)
    origin.reply = {"text": "body-secret"}
    for _ in range(3):
        client.get("/a/PN-secret?pin=hush", headers=SECRETS)
    client.put("/a/PN-secret", headers=SECRETS, content=b"body-secret")
    lines(client, path)
    text = path.read_text("utf-8")
    for secret in ("secret", "c2VjcmV0", "origin", "hush"):
        assert secret not in text


def test_a_trace_never_grows_beyond_its_bound(path: Path) -> None:
    recorder = Recorder(path, max_bytes=10_000)
    for n in range(2000):
        recorder.put({"e": "q", "t": float(n), "k": "k" * 20})
        if n % 7 == 0:
            recorder.flush()
        assert sum(file.stat().st_size for file in path.parent.iterdir()) <= 10_000
    for n in range(2000):
        recorder.put({"e": "q", "t": 5000.0 + n, "k": "k" * 20})
    recorder.flush()
    assert sum(file.stat().st_size for file in path.parent.iterdir()) <= 10_000
    assert rotated(path).exists()
    assert read_trace(path)[-1]["t"] == 6999.0


def test_nobody_waits_for_the_disk(path: Path) -> None:
    recorder = Recorder(path)
    with recorder._writing:  # the disk hangs
        thread = threading.Thread(target=lambda: [recorder.put({"e": "q", "t": float(n)}) for n in range(BACKLOG + 5)])
        thread.start()
        thread.join(timeout=20)
        assert not thread.is_alive()
        assert recorder.dropped >= 1
    recorder.flush()
    assert len(read_trace(path)) >= BACKLOG - 5


def test_a_disk_that_fails_ends_the_recording_and_nothing_else(
    recorded: Callable[..., Any], path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path.mkdir()
    client = recorded()
    for _ in range(3):
        client.get("/a")
        client.cache._engine.recorder.flush()
    assert client.cache.stats.hits == 2
    assert caplog.text.count("recording ends") == 1
    with pytest.raises(TypeError, match="record must be the path of a file, not 5"):
        Recorder(5)  # type: ignore[arg-type]


def test_a_recorder_that_nobody_has_writes_what_it_holds_and_is_gone(path: Path) -> None:
    recorder = Recorder(path)
    recorder.put({"e": "c", "t": 1.0})
    thread = recorder._thread
    assert thread is not None
    del recorder
    gc.collect()
    thread.join(timeout=20)
    assert not thread.is_alive()
    assert read_trace(path) == [{"e": "c", "t": 1.0}]


def test_the_thread_ends_when_it_has_nothing_to_do_and_starts_again(path: Path) -> None:
    recorder = Recorder(path)
    recorder.put({"e": "c", "t": 1.0})
    first = recorder._thread
    assert recorder._is_needed(idle=0)
    assert not recorder._is_needed(idle=1000)
    recorder.put({"e": "c", "t": 2.0})
    assert recorder._thread is not first
    recorder.flush()
    assert len(read_trace(path)) == 2


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_records_on(path: Path) -> None:
    import subprocess
    import sys

    code = f"""
import os, httpx
from pywats_cache import CacheTransport
t = CacheTransport(httpx.MockTransport(lambda request: httpx.Response(200)), record={str(path)!r})
t.handle_request(httpx.Request("GET", "http://origin/a"))
pid = os.fork()
t.handle_request(httpx.Request("GET", "http://origin/b" if pid else "http://origin/c"))
if pid: os.waitpid(pid, 0)
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
    assert len({event["k"] for event in read_trace(path) if event["e"] == "q"}) == 3


# ── simulation ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("policy", POLICIES)
def test_the_same_setting_gives_the_hits_there_were(recorded: Callable[..., Any], path: Path, policy: str) -> None:
    client = recorded(controller=CONTROLLER, storage=MemoryStorage(max_entries=3, policy=policy))
    for n in (1, 2, 1, 3, 4, 1, 1, 2, 5, 4, 4, 1, 3, 3):
        client.get(f"/a/{n}")
    client.put("/a/3")
    for n in (3, 3, 4, 1):
        client.get(f"/a/{n}")
    stats = client.cache.stats
    events = lines(client, path)
    same, large, short = simulate(
        events, [Setting(3, policy=policy), Setting(1000, policy=policy), Setting(1000, ttl=0)]
    )
    assert (same.hits, same.evictions, same.requests) == (stats.hits, stats.evictions, stats.hits + stats.misses)
    assert large.hits > same.hits
    assert large.evictions == 0
    assert large.dirtied == 1
    assert large.hits == large.requests - 5 - 1  # five products, and one again after the write
    assert short.hits == 0
    assert large.saved_seconds > 0
    assert same.peak_entries == 3


def test_bytes_and_ttl_bound_the_model() -> None:
    events: list[dict[str, Any]] = []
    for t, key in ((0, "a"), (1, "b"), (5, "a"), (30, "b"), (31, "a")):
        events.append({"e": "s", "t": t, "k": key, "n": 1000, "ttl": 10, "ms": 100, "tags": []})
        events.append({"e": "q", "t": t, "s": "miss", "k": key})
    two, one, never = simulate(events, [Setting(10, 2000), Setting(10, 1500), Setting(10, 500)])
    assert (two.hits, two.expired, two.peak_bytes, two.saved_seconds) == (1, 2, 2000, pytest.approx(0.1))
    assert (one.hits, one.evictions) == (0, 4)
    assert (never.hits, never.peak_bytes) == (0, 0)
    [forever] = simulate(events, [Setting(10, 2000, ttl=1e9)])
    assert forever.hits == 3
    assert forever.hit_rate == 0.6


def test_a_scan_tells_the_policies_apart() -> None:
    events: list[dict[str, Any]] = []
    for t in range(600):
        key = f"popular {t // 2 % 20}" if t % 2 or t < 100 else f"once {t}"
        events.append({"e": "s", "t": t, "k": key, "n": 1000, "ttl": 1e9, "ms": 100, "tags": []})
        events.append({"e": "q", "t": t, "s": "miss", "k": key})
    lru, tiny = simulate(events, [Setting(25), Setting(25, policy="w-tinylfu")])
    assert lru.hits < 100 < 200 < tiny.hits
    with pytest.raises(ValueError, match="policy must be one of"):
        list(simulate(events, [Setting(policy="fifo")]))


def test_what_was_never_stored_is_a_miss_in_every_setting() -> None:
    events = [{"e": "q", "t": t, "s": "miss", "r": "no-store", "k": "a", "n": None} for t in range(5)]
    [outcome] = simulate(events, [Setting()])
    assert (outcome.hits, outcome.requests) == (0, 5)


def test_a_file_that_is_no_trace_is_named(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("hello\n")
    with pytest.raises(ValueError, match="is not a trace"):
        read_trace(tmp_path / "x")
    (tmp_path / "cut").write_text('{"pywats_cache_trace": 1}\n' + json.dumps({"e": "c", "t": 1}) + '\n{"e": "q", ')
    assert read_trace(tmp_path / "cut") == [{"e": "c", "t": 1}]


@pytest.mark.anyio
async def test_async_clients_record_too(lib: Any, origin: Any, path: Path) -> None:
    async with lib.AsyncCacheClient(transport=origin.transport, base_url="http://origin", record=path) as client:
        for _ in range(3):
            await client.get("/a")
        assert [event["s"] for event in lines(client, path) if event["e"] == "q"] == ["miss", "hit", "hit"]


@pytest.mark.anyio
async def test_the_trace_of_a_closed_client_is_whole(lib: Any, origin: Any, path: Path) -> None:
    with lib.CacheClient(transport=origin.transport, base_url="http://origin", record=path) as client:
        client.get("/a")
    assert [event["e"] for event in read_trace(path)] == ["s", "q"]
    async with lib.AsyncCacheClient(transport=origin.transport, base_url="http://origin", record=path) as client:
        await client.get("/a")
    assert [event["e"] for event in read_trace(path)] == ["s", "q"] * 2
