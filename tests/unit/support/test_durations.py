"""Durations: the same seconds however they are written, wherever seconds are taken."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pywats_cache import CacheClient, ConfigurationError, ConfigurationTypeError, Controller, MemoryStorage, Read, Write
from pywats_cache.storage.redis.parameters import parameters_of
from pywats_cache.storage.sqlite.storage import SharedStorage
from pywats_cache.storage.url import parse_storage_url
from pywats_cache.support.checks import seconds
from pywats_cache.support.durations import seconds_of
from pywats_cache.testing import FakeClock

FORMS: list[tuple[Any, float]] = [
    ("90s", 90.0),
    ("5m", 300.0),
    ("2h", 7200.0),
    ("1d", 86400.0),
    ("1.5h", 5400.0),
    (" 5 m ", 300.0),
    ("0s", 0.0),
    (timedelta(minutes=5), 300.0),
    (timedelta(milliseconds=250), 0.25),
    (300, 300.0),
]
NO_DURATIONS = [
    "",
    "300",
    "5",
    "m",
    "5M",
    "5min",
    "-5m",
    "5m30s",
    "1e3s",
    "\u0661m",
    "inf",
    "5\x00m",
    b"5m",
    True,
    None,
    [5],
]


@pytest.mark.parametrize(("written", "meant"), FORMS)
def test_every_form_means_the_same_seconds(written: Any, meant: float) -> None:
    assert seconds("ttl", written) == meant


@pytest.mark.parametrize("written", NO_DURATIONS)
def test_what_is_no_duration_is_refused_with_what_is_allowed(written: Any) -> None:
    with pytest.raises(ConfigurationTypeError, match=r"ttl must be a number of seconds >= 0, .*'5m', '2h' or '1d'"):
        seconds("ttl", written)


@pytest.mark.parametrize(
    ("written", "options"),
    [(timedelta(seconds=-1), {}), ("0s", {"positive": True}), (timedelta(0), {"positive": True})],
)
def test_a_duration_is_bounded_as_a_number_is(written: Any, options: dict[str, bool]) -> None:
    with pytest.raises(ConfigurationError, match="ttl must be a number of seconds"):
        seconds("ttl", written, **options)


@given(st.timedeltas(min_value=timedelta(0)))
def test_a_timedelta_is_its_seconds(written: timedelta) -> None:
    assert seconds("ttl", written) == written.total_seconds()


TAKERS: list[tuple[str, Callable[[Any], float | None]]] = [
    *((name, lambda value, name=name: getattr(Controller(**{name: value}), name)) for name in (
        "ttl", "join_timeout", "stale_while_revalidate", "stale_if_error", "offline_for", "down_for",
    )),
    *((name, lambda value, name=name: getattr(Read("/a", **{name: value}), name)) for name in (
        "ttl", "stale_while_revalidate", "stale_if_error", "offline_for", "negative_ttl",
    )),
    ("adaptive", lambda value: Read("/a", adaptive=(1, value)).adaptive[1]),  # type: ignore[index]
    ("settle", lambda value: Write("/a", settle=value).settle),
    ("default_ttl", lambda value: MemoryStorage(default_ttl=value).default_ttl),
    ("max_lag", lambda value: parse_storage_url(f"redis://h/0?max_lag={value}").options["max_lag"]),
    ("revalidate_for", lambda value: parse_storage_url(f"sqlite:///c?revalidate_for={value}").options["revalidate_for"]),
    ("socket_timeout", lambda value: parameters_of([("socket_timeout", value)], {"tcp"})["socket_timeout"]),
    ("command line", seconds_of),
]  # fmt: skip


@pytest.mark.parametrize(("name", "take"), TAKERS, ids=[name for name, _ in TAKERS])
def test_whatever_takes_seconds_takes_durations(name: str, take: Callable[[Any], float | None]) -> None:
    assert take("5m") == 300.0


def test_a_file_for_many_processes_takes_a_duration(tmp_path: Any) -> None:
    storage = SharedStorage(tmp_path / "cache.db", revalidate_for="2h")
    try:
        assert storage.revalidate_for == 7200.0
    finally:
        storage.close()


def test_one_request_and_the_clock_of_a_test_take_durations() -> None:
    clock = FakeClock()
    with CacheClient(transport=httpx.MockTransport(lambda _: httpx.Response(200)), clock=clock) as client:
        for passed, status in (("0s", "miss"), ("29m", "hit"), (timedelta(minutes=2), "miss")):
            clock.advance(passed)
            found = client.get("http://host/", extensions={"pywats_cache": {"ttl": "30m"}})
            assert found.extensions["pywats_cache"].status == status
    with pytest.raises(ConfigurationTypeError, match="seconds must be"):
        clock.advance("soon")


def test_a_bare_number_is_seconds_in_a_text_of_the_command_line_alone() -> None:
    assert seconds_of("300") == 300.0
    assert seconds_of("inf") == float("inf")
    with pytest.raises(ValueError, match="could not convert"):
        seconds_of("5M")
