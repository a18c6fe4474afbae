"""Explanations of one request, and findings about a whole cache."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import hishel
import pytest

from pywats_cache import ConfigurationTypeError, Controller, MemoryStorage, Read, TieredStorage, Write


def explain(client: Any, method: str, url: str, **options: Any) -> Any:
    return client.cache.explain(client.build_request(method, url, **options))


def codes(client: Any) -> list[str]:
    return [finding.code for finding in client.cache.doctor()]


def test_what_is_explained_must_be_a_request(client: Any) -> None:
    with pytest.raises(ConfigurationTypeError, match=r"request must be a Request of .*, not '/a'"):
        client.cache.explain("/a")


def test_an_explanation_sends_counts_and_changes_nothing(client: Any, origin: Any) -> None:
    client.get("/a")
    before = client.cache.stats
    for url in ("/a", "/b"):
        explain(client, "GET", url)
    explain(client, "PUT", "/a")
    assert (origin.count, client.cache.stats) == (1, before)
    assert client.get("/a").extensions["pywats_cache"].status == "hit"


def test_it_says_what_is_stored(cached: Any, origin: Any, clock: Any) -> None:
    origin.reply = {"headers": {"ETag": '"1"'}}
    client = cached(Controller([Read("/a/{id}", ttl=60.0, tags=("things",))]))
    key = client.get("/a/1").extensions["pywats_cache"].key
    clock.advance(20)
    found = explain(client, "GET", "/a/1")
    assert (found.status, found.reason, found.rule, found.kind) == ("hit", "fresh", "/a/{id}", "read")
    assert (found.key, found.stored, found.age, found.ttl, found.left) == (key, True, 20.0, 60.0, 40.0)
    assert found.validators == ("etag",)
    assert any(tag.endswith("#things") for tag in found.tags)
    assert "40.0 s left" in str(found)


def test_it_says_where_what_is_behind_the_memory_may_know_more(cached: Any, tmp_path: Path) -> None:
    outer = hishel.SqliteStorage(database_path=tmp_path / "a.db")
    client = cached(storage=TieredStorage(MemoryStorage(), outer))
    assert explain(client, "GET", "/a").memory_only
    client.get("/a")
    assert not explain(client, "GET", "/a").memory_only
    assert not explain(client, "PUT", "/a").memory_only
    client.put("/a")
    found = explain(client, "GET", "/a")
    assert (found.reason, found.memory_only) == ("dirtied", True)
    outer.close()


@pytest.mark.parametrize("how", ["write", "tag", "clear"])
def test_it_says_what_dirtied_the_answer_last(cached: Any, how: str) -> None:
    client = cached(Controller([Read("/a", tags=("things",)), Write("/w", dirties=("things",))]))
    client.get("/a")
    if how == "write":
        client.put("/a")
    elif how == "tag":
        client.post("/w")
    else:
        client.cache._engine.storage.coherence.bump_all()
    found = explain(client, "GET", "/a")
    assert (found.status, found.reason) == ("miss", "dirtied")
    expected = {"write": "http://origin/a", "tag": "#things", "clear": "invalidate or clear"}[how]
    assert found.dirtied_by is not None
    assert found.dirtied_by.endswith(expected)


@pytest.mark.parametrize(
    ("controller", "prepare", "expected"),
    [
        (Controller(), lambda client, clock: None, ("miss", "unknown")),
        (Controller(), lambda client, clock: clock.advance(301), ("miss", "expired")),
        (
            Controller(stale_while_revalidate=60.0),
            lambda client, clock: clock.advance(301),
            ("stale", "while-revalidate"),
        ),
        (Controller(offline="only"), lambda client, clock: clock.advance(301), ("stale", "offline")),
        (Controller(), lambda client, clock: client.cache.invalidate("/a", soft=True), ("miss", "softened")),
    ],
)
def test_it_foretells_what_would_happen(
    cached: Any, clock: Any, controller: Controller, prepare: Callable[..., None], expected: tuple[str, str]
) -> None:
    storage = MemoryStorage()
    if expected[1] != "unknown":
        cached(storage=storage).get("/a")
    client = cached(controller, storage=storage)
    prepare(client, clock)
    found = explain(client, "GET", "/a")
    assert (found.status, found.reason) == expected


def test_no_credential_is_in_it(client: Any) -> None:
    found = explain(client, "GET", "/a?token=sesame", headers={"Authorization": "Basic sesame"})
    assert "sesame" not in repr(found) + str(found)
    assert found.partition


def test_a_healthy_cache_and_a_young_one_have_no_findings(client: Any) -> None:
    client.get("/a")
    assert codes(client) == []
    for _ in range(100):
        client.get("/a")
    assert codes(client) == []


def test_answers_that_say_no_store_are_found(client: Any, origin: Any) -> None:
    origin.reply = {"headers": {"Cache-Control": "no-store"}}
    for n in range(30):
        client.get(f"/{n}")
    assert codes(client) == ["no-store"]
    assert "30 of 30 answers were not stored" in str(client.cache.doctor()[0])


def test_a_parameter_that_never_repeats_is_found(client: Any) -> None:
    for n in range(30):
        client.get("/a", params={"from": f"2026-11-24T00:00:{n}", "top": "5"})
    findings = client.cache.doctor()
    assert [finding.code for finding in findings] == ["unique-query"]
    assert "'from' had 30 values in 30 misses" in findings[0].text


def test_a_ttl_shorter_than_the_time_between_calls_is_found(cached: Any, clock: Any) -> None:
    client = cached(Controller(ttl=1.0))
    for _ in range(30):
        client.get("/a")
        clock.advance(5)
    assert codes(client) == ["short-ttl"]


def test_a_storage_that_is_too_small_is_found(cached: Any) -> None:
    client = cached(storage=MemoryStorage(max_entries=5))
    for n in range(60):
        client.get(f"/{n % 20}")
    assert codes(client) == ["too-small"]


def test_a_storage_that_fails_is_found_at_once(cached: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outer = hishel.SqliteStorage(database_path=tmp_path / "a.db")
    monkeypatch.setattr(outer, "get_entries", lambda key: 1 / 0)
    client = cached(storage=TieredStorage(MemoryStorage(), outer))
    client.get("/a")
    assert codes(client) == ["storage-errors"]
    outer.close()


def test_rules_that_leave_everything_alone_are_found(cached: Any) -> None:
    client = cached(Controller(unmatched="bypass"))
    for _ in range(30):
        client.get("/a")
    assert codes(client) == ["all-bypassed"]


def test_writes_that_drop_everything_are_found(client: Any) -> None:
    for _ in range(30):
        client.get("/a")
        client.put("/a")
    assert codes(client) == ["dirtied"]


def test_the_diary_is_bounded_whatever_is_asked(client: Any) -> None:
    for n in range(3000):
        client.get("/a", params={f"p{n}": str(n)})
    diary = client.cache._engine.diary
    assert len(diary.values) <= 1024
    assert all(len(values) <= 64 for _, values in diary.values.values())
