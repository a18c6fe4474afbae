"""Whose code a step is, and whether a class still has the steps that were judged."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial, wraps
from typing import Any, Generic, TypeVar

import httpx
import pytest

from pywats_cache import CacheClient, CacheTransport
from pywats_cache.support.genuine import OURS, is_genuine, only_these_behind, unchanged


def other(*_: Any) -> None:
    """Somebody else's."""


Subclass = type("Subclass", (httpx.Client,), {})


@pytest.mark.parametrize("name", ["send", "build_request", "headers", "get"])
def test_a_step_of_the_library_is_genuine_also_in_a_subclass(name: str) -> None:
    assert is_genuine(httpx.Client, name, "httpx")
    assert is_genuine(Subclass, name, "httpx")
    assert not is_genuine(httpx.Client, name, "httpx2")


REPLACED = {
    "a function of others": other,
    "one that takes the name of what it wraps": wraps(httpx.Client.send)(lambda *_: None),
    "a partial": partial(httpx.Client.send),
    "a step of another name": httpx.Client.request,
    "a static method": staticmethod(httpx.Client.send),
    "a property of others": property(other),
    "nothing": None,
}


@pytest.mark.parametrize("what", REPLACED)
def test_what_stands_in_its_place_is_not(monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    assert not is_genuine(type("Mine", (httpx.Client,), {"send": REPLACED[what]}), "send", "httpx")
    monkeypatch.setattr(httpx.Client, "send", REPLACED[what])
    assert not is_genuine(httpx.Client, "send", "httpx")


def test_a_step_of_the_library_in_a_class_of_others_is_not() -> None:
    mine = type("Mine", (CacheTransport,), {"handle_request": httpx.HTTPTransport.handle_request})
    assert is_genuine(CacheTransport, "handle_request", OURS)
    assert not is_genuine(mine, "handle_request", OURS, "httpx")


def test_what_is_not_there_is_not_genuine() -> None:
    assert not is_genuine(httpx.Client, "no_such_step", "httpx")


def test_classes_of_others_count_only_behind_ours() -> None:
    mixin = type("Mixin", (), {})
    assert only_these_behind(type("Mine", (mixin, CacheClient), {}), "httpx")
    assert not only_these_behind(type("Mine", (CacheClient, mixin), {}), "httpx")
    assert not only_these_behind(httpx.Client, "httpx")


class Base:
    def one(self) -> None: ...

    @property
    def two(self) -> None: ...


T = TypeVar("T")


class Middle(Base, Generic[T]):
    def three(self) -> None: ...


class Behind:
    def four(self) -> None: ...


CHANGES: dict[str, Callable[[pytest.MonkeyPatch, type[Any]], object]] = {
    "replaced in the base": lambda patch, kind: patch.setattr(Base, "one", other),
    "a property replaced": lambda patch, kind: patch.setattr(Base, "two", property(other)),
    "replaced in the middle": lambda patch, kind: patch.setattr(Middle, "three", other),
    "overridden in the middle": lambda patch, kind: patch.setattr(Middle, "one", other),
    "overridden": lambda patch, kind: patch.setattr(kind, "three", other),
    "deleted": lambda patch, kind: patch.delattr(Base, "one"),
    "replaced behind": lambda patch, kind: patch.setattr(Behind, "four", other),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_change_is_noticed_and_so_is_its_end(monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    kind = type("Mine", (Middle, Behind), {"five": other})
    same = unchanged(kind, ["one", "two", "three", "five"], (Behind, "four"))
    assert same(kind)
    with monkeypatch.context() as patch:
        CHANGES[what](patch, kind)
        assert not same(kind)
        assert unchanged(kind, ["one", "two", "three", "five"], (Behind, "four"))(kind)
    assert same(kind)


def test_another_class_is_a_change() -> None:
    same = unchanged(Middle, ["one"])
    assert same(Middle)
    assert not same(Base)


def test_one_that_calls_itself_equal_is_a_change(monkeypatch: pytest.MonkeyPatch) -> None:
    class Equal:
        def __eq__(self, other: object) -> bool:
            return True

        __hash__ = None  # type: ignore[assignment]

    same = unchanged(Middle, ["one", "three"])
    monkeypatch.setattr(Base, "one", Equal())
    assert not same(Middle)


def test_a_name_that_nobody_has_is_noticed_once_somebody_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    same = unchanged(Middle, ["six"])
    assert same(Middle)
    monkeypatch.setattr(Base, "six", other, raising=False)
    assert not same(Middle)


def test_where_namespaces_cannot_be_read_nothing_is_called_unchanged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gc.get_referents", lambda *_: [])
    assert not unchanged(Middle, ["one"])(Middle)
    with CacheClient(transport=httpx.MockTransport(lambda request: httpx.Response(200, text="x"))) as client:
        for _ in range(3):
            client.get("http://origin/a")
        assert client.cache.stats.lookups == 2, "it is judged each time"
