"""The figures: what hits saved, by rule, whatever became of the entries."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pywats_cache import Controller, MemoryStorage, Read, Write
from pywats_cache.diagnostics.snapshot import measure
from pywats_cache.telemetry.origin_times import BOUNDS, OriginTimes


@pytest.fixture
def client(cached: Callable[..., Any]) -> Any:
    return cached(Controller([Read("/a/**"), Read("/b/**", ttl=5), Write("/a/**")]), MemoryStorage(max_entries=2))


def test_hits_and_what_they_saved_are_counted_by_rule(client: Any) -> None:
    for path in ("/a/1", "/a/1", "/a/1", "/b/1", "/b/1"):
        client.get(path)
    rules = measure(client.cache._engine).rules
    assert {rule: tally.hits for rule, tally in rules.items()} == {"/a/**": 2, "/b/**": 1}
    assert {rule: tally.entries for rule, tally in rules.items()} == {"/a/**": 1, "/b/**": 1}
    assert sum(tally.size_bytes for tally in rules.values()) == client.cache.stats.size_bytes
    assert all(tally.saved_seconds > 0 for tally in rules.values())


def test_hits_of_entries_that_left_still_count(client: Any, clock: Any) -> None:
    engine = client.cache._engine
    client.get("/b/1")
    client.get("/b/1")
    clock.advance(10)  # expired, and replaced
    client.get("/b/1")
    client.get("/b/1")
    for path in ("/a/1", "/a/1", "/a/2", "/a/3", "/a/4"):  # evicted
        client.get(path)
    before = measure(engine)
    assert {rule: tally.hits for rule, tally in before.rules.items()} == {"/a/**": 1, "/b/**": 2}
    client.post("/a/4")
    client.get("/a/4")
    client.cache.clear()
    after = measure(engine)
    assert {rule: tally.hits for rule, tally in after.rules.items()} == {"/a/**": 1, "/b/**": 2}
    assert after.saved_seconds == pytest.approx(before.saved_seconds)
    assert after.stats.hits == 3


def test_a_revalidated_entry_takes_its_hits_along(cached: Callable[..., Any], origin: Any, clock: Any) -> None:
    client = cached(Controller(ttl=5))
    origin.reply = lambda request: origin.http.Response(
        304 if "if-none-match" in request.headers else 200, headers={"ETag": '"1"'}, content=b""
    )
    client.get("/a")
    client.get("/a")
    clock.advance(6)
    assert client.get("/a").extensions["pywats_cache"].status == "revalidated"
    client.get("/a")
    assert measure(client.cache._engine).rules["default"].hits == 2


def test_evictions_have_the_bound_that_was_reached(cached: Callable[..., Any], origin: Any) -> None:
    client = cached(storage=MemoryStorage(max_entries=3, max_bytes=9000))
    for n in range(5):
        client.get(f"/{n}")
    assert measure(client.cache._engine).evictions == {"entries": 2, "bytes": 0}
    origin.reply = {"content": b"x" * 7400}
    client.get("/large")
    assert measure(client.cache._engine).evictions == {"entries": 3, "bytes": 1}


def test_reasons_and_fetches_are_counted(client: Any) -> None:
    client.get("/a/1")
    client.post("/a/1")
    client.get("/a/1")
    figures = measure(client.cache._engine)
    assert figures.reasons == {"unknown": 1, "write": 1, "dirtied": 1}
    assert figures.fetches == {"/a/**": 2}


def test_times_of_the_origin_go_into_buckets(client: Any) -> None:
    client.get("/a/1")
    client.get("/a/1")
    figures = measure(client.cache._engine)
    assert sum(figures.origin_buckets) == 1
    assert figures.origin_seconds > 0
    times = OriginTimes()
    for seconds in (0.0, BOUNDS[0], 0.2, 1e9):
        times.answered(seconds)
    assert (times.buckets[0], times.buckets[BOUNDS.index(0.25)], times.buckets[-1]) == (2, 1, 1)


@pytest.mark.parametrize(("error", "cause"), [("ConnectError", "unreachable"), ("DecodingError", "other")])
def test_failed_fetches_count_by_cause(client: Any, origin: Any, lib: Any, error: str, cause: str) -> None:
    kind = getattr(lib.http, error)

    def fail(request: Any) -> Any:
        raise kind("no")

    origin.reply = fail
    with pytest.raises(kind):
        client.get("/a/1")
    assert measure(client.cache._engine).failures == {"unreachable": 0, "cancelled": 0, "other": 0} | {cause: 1}


def test_rules_beyond_the_bound_are_counted_together() -> None:
    from pywats_cache.storage.entry import StoredResponse
    from pywats_cache.storage.rule_usage import MAX_RULES, OTHER_RULES, Tally

    tally = Tally()
    for n in range(MAX_RULES + 50):
        entry = StoredResponse(
            key=str(n), status=200, headers=(), raw=b"", content=b"", extensions={}, began=0.0, ttl=1.0,
            own_ttl=False, tags=(), epoch=0, vary=(), rule=f"/{n}", took=0.5,
        )  # fmt: skip
        entry.hits = 2
        tally.left(entry)
    rules = tally.by_rule(())
    assert len(rules) == MAX_RULES + 1
    assert rules[OTHER_RULES].hits == 100
    assert rules[OTHER_RULES].saved_seconds == 50.0


def test_settling_tags_are_counted(client: Any, origin: Any, clock: Any) -> None:
    origin.reply = {"status_code": 503}
    client.post("/a/1")
    assert measure(client.cache._engine).settling > 0
    clock.advance(100)
    assert measure(client.cache._engine).settling == 0
