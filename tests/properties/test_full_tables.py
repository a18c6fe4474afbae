"""A table of tags that is full all the time, beside one that never is: in memory nobody can tell them apart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pywats_cache import CacheTransport, Controller, MemoryStorage, Read, SharedStorage, Write
from pywats_cache.coherence.epochs import Coherence
from pywats_cache.protocol.paths import normal_path
from pywats_cache.storage.sqlite import ledger as ledger_module
from pywats_cache.storage.sweep import Sweep

ORIGINS = ("http://one.example", "http://two.example")
PATHS = ("/", "/a", "/a/b", "/a/b/c", "/a/b/d", "/a/x/y", "/config", "/config/site", "/t/1", "/t/2")
RULES: list[Any] = [Read("/t/{id}", tags=("t",)), Write("/a/x/**", dirties=("t",))]
CALLS = st.one_of(
    st.tuples(st.sampled_from(["GET", "PUT"]), st.sampled_from(ORIGINS), st.sampled_from(PATHS)),
    st.tuples(st.just("PUT"), st.sampled_from(ORIGINS), st.integers(0, 40).map(lambda n: f"/unit/{n}/step")),
    st.tuples(st.sampled_from(["invalidate", "soft"]), st.just(""), st.sampled_from(PATHS)),
    st.tuples(st.just("tag"), st.just(""), st.sampled_from(["t", "u", "v"])),
    st.tuples(st.just("soft-tag"), st.just(""), st.sampled_from(["t", "u", "v"])),
    st.tuples(st.just("clear"), st.just(""), st.just("")),
)


def transport(max_tags: int) -> CacheTransport:
    storage = MemoryStorage(max_entries=8)
    storage.coherence.max_tags = max_tags
    answer = httpx.MockTransport(lambda request: httpx.Response(200, content=b"{}"))
    return CacheTransport(answer, storage=storage, controller=Controller(rules=RULES, ttl=1e9))


def call(client: CacheTransport, what: str, origin: str, name: str) -> str | None:
    if what in ("GET", "PUT"):
        response = client.handle_request(httpx.Request(what, origin + name))
        response.read()
        return str(response.extensions["pywats_cache"].status)
    if what == "clear":
        client.clear()
    elif what in ("tag", "soft-tag"):
        client.invalidate(tags=(name,), soft=what == "soft-tag")
    else:
        client.invalidate(name, soft=what == "soft")
    return None


def differs(calls: list[tuple[str, str, str]], max_tags: int) -> bool:
    full, roomy = transport(max_tags), transport(10**6)
    for what, origin, name in calls:
        if call(full, what, origin, name) != call(roomy, what, origin, name):
            return True
    assert full.stats.floors == 0
    return False


@given(st.lists(CALLS, max_size=60), st.integers(2, 8))
def test_in_memory_no_answer_is_lost_and_none_is_kept(calls: list[tuple[str, str, str]], max_tags: int) -> None:
    assert not differs(calls, max_tags)


@pytest.mark.parametrize(
    ("owner", "method", "mutant"),
    [
        (Coherence, "mark", lambda self, held, horizon: True),
        (Sweep, "pay", lambda self, tags: self._storage.coherence._compact()),
    ],
    ids=["no mark", "compaction"],
)
def test_mutants_are_told_apart(monkeypatch: pytest.MonkeyPatch, owner: Any, method: str, mutant: Any) -> None:
    calls = [("GET", ORIGINS[0], "/config"), *[("PUT", ORIGINS[0], f"/unit/{n}") for n in range(9)]]
    calls += [("GET", ORIGINS[0], "/config"), ("PUT", ORIGINS[0], "/t/1"), ("GET", ORIGINS[0], "/config")]
    assert not differs(calls, 2)
    monkeypatch.setattr(owner, method, mutant)
    assert differs(calls, 2)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(st.sampled_from(ORIGINS), st.sampled_from(PATHS)), min_size=1, max_size=5),
    st.lists(
        st.tuples(
            st.sampled_from(ORIGINS),
            st.one_of(st.sampled_from(PATHS), st.integers(0, 40).map(lambda n: f"/unit/all/{n}/step")),
        ),
        max_size=24,
    ),
)
def test_in_a_file_an_answer_is_lost_to_a_write_near_it_or_to_a_floor_that_is_counted(
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    reads: list[tuple[str, str]],
    writes: list[tuple[str, str]],
) -> None:
    monkeypatch.setattr(ledger_module, "MAX_TAGS", 8)
    storage = SharedStorage(Path(tmp_path_factory.mktemp("full")) / "c.db")
    answer = httpx.MockTransport(lambda request: httpx.Response(200, content=b"{}"))
    client = CacheTransport(answer, storage=storage, controller=Controller(ttl=1e9))
    try:
        for at in reads:
            call(client, "GET", *at)
        for at in writes:
            call(client, "PUT", *at)
        lost = [at for at in dict.fromkeys(reads) if call(client, "GET", *at) != "hit"]
        if not client.stats.floors:
            for origin, path in lost:
                own = normal_path(path)
                assert any(
                    wrote == origin
                    and (
                        normal_path(where)[:2] == own[:2]
                        or normal_path(where)[:-1] == own
                        or own[: len(normal_path(where))] == normal_path(where)
                    )
                    for wrote, where in writes
                )
    finally:
        storage.close()
