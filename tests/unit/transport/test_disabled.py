"""PYWATS_CACHE_DISABLED: nothing is read, nothing stored, and what a write invalidates is told all the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from every_way import MODES, WAYS, Asking, status

from pywats_cache import Controller, MemoryStorage, Read, SharedStorage, Write
from pywats_cache.testing import FakeClock

Make = Callable[..., Asking]
VARIABLE = "PYWATS_CACHE_DISABLED"


@pytest.fixture
def make(lib: SimpleNamespace, origin: Any) -> Iterator[Make]:
    made: list[Asking] = []
    origin.reply = {"headers": {"Cache-Control": "max-age=60", "ETag": '"1"'}}

    def new(way: str, mode: str = "ttl", **parts: Any) -> Asking:
        parts.setdefault("controller", MODES[mode])
        made.append(Asking(lib, origin, way, **parts))
        return made[-1]

    yield new
    for asking in made:
        asking.close()


@pytest.mark.parametrize("mode", sorted(MODES))
@pytest.mark.parametrize("way", WAYS)
def test_nothing_is_read_and_nothing_stored(make: Make, way: str, mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = MemoryStorage()
    on = make(way, mode, storage=storage)
    on.get()
    monkeypatch.setenv(VARIABLE, "1")
    off = make(way, mode, storage=storage)
    asked = [
        off.get(),
        off.get(),
        off("GET", "/b"),
        off("HEAD"),
        off("GET", "/a", {"If-None-Match": '"1"'}),
        off("GET", "/a", {"Range": "bytes=0-0"}),
        off("GET", "/a", {"Cache-Control": "only-if-cached"}),
        off(only_if_cached=True),
        off(ttl=5, tags=("t",), key="k"),
    ]
    assert [status(response) for response in asked] == [("bypass", "disabled")] * len(asked)
    assert off.origin.count == 1 + len(asked)
    assert off.cache.stats.entries == 1
    assert off.cache.stats.stores == 1
    assert status(on.get()) == ("hit", "fresh")


@pytest.mark.parametrize("mode", sorted(MODES))
@pytest.mark.parametrize("way", WAYS)
def test_a_write_of_it_is_told_to_who_shares_the_storage(
    make: Make, way: str, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = MemoryStorage()
    on = make(way, mode, storage=storage)
    on.get()
    monkeypatch.setenv(VARIABLE, "1")
    assert status(make(way, mode, storage=storage)("PUT")) == ("bypass", "write")
    assert status(on.get()) == ("miss", "dirtied")


@pytest.mark.parametrize("way", WAYS)
def test_a_write_of_it_is_announced_to_other_processes(
    make: Make, way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    on = make(way, storage=SharedStorage(tmp_path / "cache.db"))
    on.get()
    monkeypatch.setenv(VARIABLE, "1")
    off = make(way, storage=SharedStorage(tmp_path / "cache.db"))
    seen: list[tuple[str, str]] = []

    def reply(request: Any) -> Any:
        if request.method == "PUT":
            seen.append(status(on.get()))
        return off.lib.http.Response(200, headers={"Cache-Control": "max-age=60"})

    if on.loop is None:  # in the middle of the write, its announcement is known
        off.origin.reply = reply
        off("PUT")
        assert seen == [("miss", "settling")]
    else:
        off("PUT")
    assert status(on.get())[0] == "miss"
    assert status(on.get()) == ("hit", "fresh")


def test_an_answer_to_a_post_is_not_stored_for_a_get(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = []
    for value in ("0", "1"):
        storage = MemoryStorage()
        monkeypatch.setenv(VARIABLE, value)
        asking = make("sync client", "rfc", storage=storage)
        asking.origin.reply = {"headers": {"Cache-Control": "max-age=60", "Content-Location": "/a"}}
        asking("POST", "/a", content=b"x")
        kept.append(len(storage))
    assert kept == [1, 0]


def test_rules_that_bypass_and_writes_keep_their_reason(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "1")
    policy = Controller(rules=[Read("/a"), Write("/w", methods=("POST",))], unmatched="bypass")
    off = make("sync client", controller=policy)
    assert status(off("GET", "/other")) == ("bypass", "rule-bypass")
    assert status(off("POST", "/w")) == ("bypass", "write")
    assert status(off("GET", "/other", {"Cache-Control": "only-if-cached"})) == ("bypass", "rule-bypass")


@pytest.mark.parametrize("value", ["", "0", "false", "False", " 0 ", "no", "off"])
def test_the_cache_is_on_with(make: Make, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, value)
    assert status(make("sync client").get()) == ("miss", "unknown")


@pytest.mark.parametrize("value", ["1", "true", "TRUE", "yes", "on", "2"])
def test_the_cache_is_off_with(make: Make, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, value)
    assert status(make("sync client").get()) == ("bypass", "disabled")


def test_the_variable_is_read_when_a_transport_is_made(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    on = make("sync transport")
    monkeypatch.setenv(VARIABLE, "1")
    assert status(on.get()) == ("miss", "unknown")
    off = make("sync transport")
    monkeypatch.delenv(VARIABLE)
    assert status(off.get()) == ("bypass", "disabled")


def test_explain_and_doctor_say_so(make: Make, monkeypatch: pytest.MonkeyPatch, clock: FakeClock) -> None:
    monkeypatch.setenv(VARIABLE, "1")
    off = make("sync client")
    for _ in range(30):
        off.get()
    found = off.cache.explain(off.lib.http.Request("GET", "http://origin/a"))
    assert (found.status, found.reason, found.sends) == ("bypass", "disabled", True)
    assert [finding.code for finding in off.cache.doctor()] == ["disabled"]
    assert VARIABLE in str(off.cache.doctor()[0])
