"""What is worked out of a request once: bounded, whatever is asked."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from pywats_cache import Controller
from pywats_cache.engine.classify import Preparer


@pytest.fixture
def preparer() -> Preparer:
    return Preparer(Controller(), b"s" * 32)


def test_requests_that_look_alike_share_what_was_worked_out(preparer: Preparer, lib: SimpleNamespace) -> None:
    def ask(**headers: str) -> Any:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return preparer.prepare(lib.http.Request("GET", "http://host/a?x=1", headers=named))

    assert ask() is ask(x_request_id="1") is ask(x_request_id="2")
    assert ask(authorization="one") is ask(authorization="one")
    assert ask(authorization="one") is not ask(authorization="two")


def test_the_memo_is_bounded_in_urls_and_in_header_names(
    preparer: Preparer, lib: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pywats_cache.engine.classify.MAX_MEMO", 10)
    monkeypatch.setattr("pywats_cache.engine.classify.MAX_NAMES", 10)
    keys = set()
    for n in range(100):
        request = lib.http.Request("GET", f"http://host/{n}", headers={f"X-{n}": "1", "Authorization": str(n)})
        keys.add(preparer.prepare(request).key)
        assert len(preparer._memo) <= 10
        assert len(preparer._names) <= 10
        assert len(preparer._alike) <= 10
    assert len(keys) == 100


def test_a_partition_function_is_asked_each_time(lib: SimpleNamespace) -> None:
    users = iter(["one", "two", "one"])
    preparer = Preparer(Controller(partition=lambda headers: next(users)), b"s" * 32)
    assert preparer.partition_is_computed
    keys = [preparer.prepare(lib.http.Request("GET", "http://host/a")).key for _ in range(3)]
    assert keys[0] == keys[2] != keys[1]


def test_nothing_that_is_shown_of_it_holds_a_credential(preparer: Preparer, lib: SimpleNamespace) -> None:
    request = lib.http.Request("GET", "http://u:hush-1@host/a?q=hush-2", headers={"Authorization": "hush-3"})
    assert "hush" not in repr(preparer.prepare(request))


def test_what_an_answer_carries_names_no_partition_unless_a_401_drops_it(lib: SimpleNamespace) -> None:
    def tags(controller: Controller) -> tuple[str, ...]:
        request = lib.http.Request("GET", "http://host/a/b", headers={"Authorization": "one"})
        return Preparer(controller, b"s" * 32).prepare(request).tags

    assert tags(Controller()) == (
        "=http://host/a/b",
        "^http://host/a/b",
        "^http://host/a",
        "^http://host/",
    )
    assert len(tags(Controller(drop_on=(401,)))) == 5
    assert tags(Controller(drop_on=(403,))) == tags(Controller())
