"""A server that fails or is away: the last good answer within `stale_if_error`, and offline."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from stale_origins import status, unreachable

from pywats_cache import Controller, Read


@pytest.mark.parametrize("failure", ["ConnectError", "ReadTimeout", "RemoteProtocolError", "500", "503"])
def test_a_failing_server_is_replaced_by_the_last_good_answer(
    cached: Any, origin: Any, clock: Any, failure: str
) -> None:
    client = cached(Controller(ttl=60.0, stale_if_error=300.0))
    client.get("/a")
    clock.advance(61)

    def reply(request: Any) -> Any:
        if failure.isdigit():
            return origin.http.Response(int(failure))
        raise getattr(origin.http, failure)("failed")

    origin.reply = reply
    response = client.get("/a")
    assert (response.text, *status(response)) == ("1", "stale", "if-error")
    assert response.elapsed.total_seconds() > 0
    clock.advance(300)
    if failure.isdigit():
        assert client.get("/a").status_code == int(failure)
    else:
        with pytest.raises(getattr(origin.http, failure)):
            client.get("/a")


def test_without_a_window_errors_reach_the_caller(cached: Any, origin: Any, clock: Any) -> None:
    client = cached(Controller(ttl=60.0))
    client.get("/a")
    clock.advance(61)
    unreachable(origin)
    with pytest.raises(origin.http.ConnectError):
        client.get("/a")


def test_offline_auto_serves_for_days_and_asks_only_now_and_then(cached: Any, origin: Any, clock: Any) -> None:
    client = cached(
        Controller([Read("/days", ttl=60.0, offline_for=7 * 86400.0)], ttl=60.0, offline="auto", down_for=5.0)
    )
    client.get("/days")
    clock.advance(6 * 86400)
    unreachable(origin)
    for _ in range(10):
        assert status(client.get("/days")) == ("stale", "offline")
    assert origin.count == 2
    clock.advance(5.1)
    client.get("/days")
    assert origin.count == 3
    origin.reply = {}
    clock.advance(5.1)
    assert status(client.get("/days"))[0] == "miss"
    unreachable(origin)
    with pytest.raises(origin.http.ConnectError):
        client.get("/never-seen")


def test_a_5xx_is_an_answer_and_no_outage(cached: Any, origin: Any, clock: Any) -> None:
    client = cached(Controller(ttl=60.0, offline="auto"))
    client.get("/a")
    clock.advance(61)
    origin.reply = {"status_code": 503}
    assert client.get("/a").status_code == 503


def test_offline_only_never_goes_to_the_network(cached: Any, lib: SimpleNamespace, origin: Any, clock: Any) -> None:
    online = cached()
    online.get("/a")
    client = lib.http.Client(
        transport=lib.CacheTransport(
            origin.transport, controller=Controller(offline="only"), storage=online.cache.storage
        ),
        base_url="http://origin",
    )
    with client:
        assert status(client.get("/a")) == ("hit", "fresh")
        clock.advance(301)
        assert status(client.get("/a")) == ("stale", "offline")
        for response in (client.get("/unknown"), client.put("/a"), client.get("/a", headers={"Range": "bytes=0-"})):
            assert (response.status_code, status(response)[1]) == (504, "offline")
        assert status(client.get("/a")) == ("stale", "offline")  # the write was not sent, so it dirtied nothing
    assert origin.count == 1


def test_going_offline_does_not_empty_the_cache(cached: Any, origin: Any, clock: Any) -> None:
    client = cached(Controller(ttl=60.0, offline="auto"))
    client.get("/a")
    unreachable(origin)
    with pytest.raises(origin.http.ConnectError):
        client.put("/a")
    clock.advance(61)
    assert status(client.get("/a")) == ("stale", "offline")


def test_joiners_of_a_failed_fetch_share_the_stale_answer(cached: Any, origin: Any, clock: Any) -> None:
    client = cached(Controller(ttl=60.0, stale_if_error=300.0))
    client.get("/a")
    clock.advance(61)
    engine = client.cache._engine
    first = engine.begin(client.build_request("GET", "/a"))
    first.flight.owner = (0, None)  # somebody else's
    join = engine.begin(client.build_request("GET", "/a"))
    assert status(engine.failed(first, origin.http.ConnectError("refused"))) == ("stale", "if-error")
    assert status(engine.rejoin(join))[0] == "stale"
    assert client.cache.stats.stale == 2
    assert client.cache.stats.requests == 3
