"""Clients with other rules on one storage: the hit of one says nothing for another whose rules give other tags."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from pywats_cache import (
    AsyncCacheTransport,
    CacheClient,
    CacheTransport,
    Controller,
    MemoryStorage,
    Read,
    SharedStorage,
)

URL = "http://here.example/config/1"
TAGGED = Controller(ttl=1e6, rules=[Read("/config/**", tags=("config",))])
PLAIN = Controller(ttl=1e6)


@pytest.fixture(params=["memory", "sqlite"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[Controller], CacheTransport]]:
    storage: Any = MemoryStorage() if request.param == "memory" else SharedStorage(tmp_path / "c.db")

    def make(controller: Controller) -> CacheTransport:
        answer = httpx.MockTransport(lambda request: httpx.Response(200, content=b"{}"))
        return CacheTransport(answer, storage=storage, controller=controller)

    yield make
    if request.param == "sqlite":
        storage.close()


def status(transport: CacheTransport) -> str:
    response = transport.handle_request(httpx.Request("GET", URL))
    response.read()
    return str(response.extensions["pywats_cache"].status)


def test_a_hit_of_one_hides_no_tag_of_another(make: Callable[[Controller], CacheTransport]) -> None:
    plain, tagged = make(PLAIN), make(TAGGED)
    assert status(plain) == "miss"
    assert status(tagged) == "hit"
    tagged.invalidate(tags=("config",))
    assert status(plain) == "hit"
    assert status(tagged) == "miss"
    assert [status(plain), status(tagged)] == ["hit", "hit"]


def test_a_hit_of_one_in_a_file_hides_no_tag_of_another(tmp_path: Path) -> None:
    answer = httpx.MockTransport(lambda request: httpx.Response(200, content=b"{}"))
    before, after = SharedStorage(tmp_path / "c.db"), SharedStorage(tmp_path / "c.db")
    assert status(CacheTransport(answer, storage=before, controller=PLAIN)) == "miss"
    before.close()
    plain, tagged = (CacheTransport(answer, storage=after, controller=controller) for controller in (PLAIN, TAGGED))
    tagged.invalidate(tags=("config",))
    assert status(plain) == "hit"
    assert status(tagged) == "miss"
    after.close()


def test_what_was_found_valid_before_another_came_says_nothing_for_it(
    make: Callable[[Controller], CacheTransport],
) -> None:
    plain = make(PLAIN)
    assert status(plain) == "miss"
    plain.invalidate(tags=("config",))
    assert status(plain) == "hit"
    assert status(make(TAGGED)) == "miss"


def test_a_lookup_of_one_hides_no_tag_of_another() -> None:
    storage = MemoryStorage()
    answer = httpx.MockTransport(lambda request: httpx.Response(200, content=b"{}"))
    with (
        CacheClient(transport=answer, storage=storage, controller=PLAIN) as plain,
        CacheClient(transport=answer, storage=storage, controller=TAGGED) as tagged,
    ):
        for client in (plain, tagged):
            client.get(URL)
        tagged.cache.invalidate(tags=("config",))
        for _ in range(3):
            assert plain.get(URL).extensions["pywats_cache"].status == "hit"
        assert tagged.get(URL).extensions["pywats_cache"].status == "miss"


@pytest.mark.parametrize(
    ("other", "alike"),
    [
        (Controller(ttl=5.0), True),
        (Controller(ttl=1e6, rules=[Read("/config/**", ttl=5.0)]), True),
        (TAGGED, False),
    ],
)
def test_rules_without_tags_are_alike(other: Controller, alike: bool) -> None:
    """Then what one finds valid is valid for all, at no cost."""
    storage = MemoryStorage()
    CacheTransport(storage=storage, controller=PLAIN)
    AsyncCacheTransport(storage=storage, controller=other)
    assert storage.has_one_tagging is alike


def test_equal_rules_with_tags_are_alike() -> None:
    storage = MemoryStorage()
    for ttl in (5.0, 6.0):
        CacheTransport(storage=storage, controller=Controller(ttl=ttl, rules=[Read("/c/**", ttl=ttl, tags=("c",))]))
    assert storage.has_one_tagging
