"""TTL under a clock that only the test moves, forwards and backwards."""

from __future__ import annotations

from functools import partial
from typing import Any

import httpx
from hypothesis import event, given, settings
from hypothesis import strategies as st

from pywats_cache import CacheClient, CacheTransport, Controller, MemoryStorage, Read
from pywats_cache.engine.core import CLOCK_SLACK
from pywats_cache.testing import FakeClock

TTLS = {"/short": 10.0, "/long": 300.0, "/ever": float("inf")}
PATHS = st.sampled_from([f"{path}/1" for path in TTLS])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("get"), PATHS, st.integers(0, 1)),
        st.tuples(st.just("request"), PATHS, st.integers(0, 1)),
        st.tuples(st.just("lookup"), PATHS, st.integers(0, 1)),
        st.tuples(
            st.just("advance"),
            st.one_of(
                st.sampled_from([0.0, 0.5, 9.999999, 10.0, 299.0, 300.0, -0.5, -1.0, -1.5, -9.0, -290.0]),
                st.floats(-400.0, 400.0),
            ),
            st.just(0),
        ),
    ),
    max_size=40,
)


AGES = st.one_of(st.sampled_from([9.999, 10.0, 299.999, 300.0]), st.floats(0.0, 400.0))


def ttl_of(path: str) -> float:
    return next(ttl for prefix, ttl in TTLS.items() if path.startswith(prefix))


@settings(max_examples=300)
@given(steps=STEPS)
def test_nothing_is_served_past_its_ttl_whatever_the_clock_does(steps: list[tuple[str, Any, int]]) -> None:
    clock = FakeClock(10_000.0)
    storage = MemoryStorage(clock=clock)
    fetched: list[float] = []  # when the answer of this number was asked for
    seen: list[float] = []  # all readings of the clock, in order

    def respond(request: httpx.Request) -> httpx.Response:
        fetched.append(clock())
        return httpx.Response(200, content=f"{len(fetched) - 1} {len(seen)}".encode())

    controller = Controller(rules=[Read(f"{path}/{{i}}", ttl=ttl) for path, ttl in TTLS.items()])
    clients = [
        CacheClient(transport=CacheTransport(httpx.MockTransport(respond), storage=storage, controller=controller))
        for _ in range(2)
    ]
    for what, value, which in steps:
        if what == "advance":
            clock.advance(value)
            continue
        url, client = f"http://o{value}", clients[which]
        if what == "lookup":
            entry = client.lookup("GET", url)
            if entry is None:
                continue
            content = entry.content
        else:
            response = client.get(url) if what == "get" else client.request("GET", url)
            content = response.content
            if response.extensions["pywats_cache"].status != "hit":
                seen.append(clock())
                continue
        now = clock()
        number, since = map(int, content.split())
        age = now - fetched[number]
        latest = max([*seen[since:], fetched[number], now])
        event("hit")
        assert 0.0 <= age < ttl_of(value)
        assert latest - fetched[number] < ttl_of(value) + CLOCK_SLACK, "a clock set back has revived an old answer"
        assert latest - now <= CLOCK_SLACK, "a clock set back makes every date unreliable"
        seen.append(now)


@given(path=PATHS, ages=st.lists(AGES, min_size=1, max_size=5), how=st.sampled_from(["get", "request"]))
def test_an_answer_is_served_for_all_of_its_ttl_and_no_longer(path: str, ages: list[float], how: str) -> None:
    """To the last moment: a cache that never hits would pass the property above."""
    clock = FakeClock(0.0)
    client = CacheClient(
        transport=httpx.MockTransport(lambda request: httpx.Response(200)),
        clock=clock,
        controller=Controller(ttl=ttl_of(path)),
    )
    client.get(f"http://o{path}")
    for age in sorted(ages):
        clock.advance(age - clock())
        ask = client.get if how == "get" else partial(client.request, "GET")
        status = ask(f"http://o{path}").extensions["pywats_cache"].status
        if age < ttl_of(path):
            assert status == "hit"
        else:
            assert status == "miss"
            break


@given(back=st.floats(0.01, 10_000.0))
def test_an_answer_from_the_future_is_expired(back: float) -> None:
    clock = FakeClock(20_000.0)
    client = CacheClient(transport=httpx.MockTransport(lambda request: httpx.Response(200)), clock=clock)
    client.get("http://o/a")
    clock.advance(-back)
    assert client.lookup("GET", "http://o/a") is None
    assert client.get("http://o/a").extensions["pywats_cache"].status == "miss"
