"""`explain` agrees with what then happens: sync and async, by a transport and by a client's lookup, in both libraries.

`tests/properties/test_explain_properties.py` holds it to far more states, by the sync transport.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from every_way import WAYS, Asking, status

from pywats_cache import Controller, MemoryStorage, Read
from pywats_cache.testing import FakeClock

Make = Callable[..., Asking]
SWR = {"stale_while_revalidate": 60.0}
AHEAD = {"rules": [Read("/a", refresh_ahead=0.5)]}
ETAG = {"If-None-Match": '"1"'}
RFC = {"rfc9111": True}


@pytest.fixture(params=WAYS)
def make(request: pytest.FixtureRequest, lib: SimpleNamespace, origin: Any, clock: FakeClock) -> Iterator[Make]:
    made: list[Asking] = []

    def asking(**options: Any) -> Asking:
        storage = made[0].cache.storage if made else MemoryStorage(clock=clock)
        made.append(Asking(lib, origin, request.param, controller=Controller(ttl=100.0, **options), storage=storage))
        return made[-1]

    yield asking
    for one in made:
        one.close()


def explained(asking: Asking, method: str = "GET", headers: Any = None, **directives: Any) -> tuple[str, str, bool]:
    extensions = {"pywats_cache": directives} if directives else {}
    request = asking.lib.http.Request(method, "http://origin/a", headers=headers, extensions=extensions)
    found = asking.cache.explain(request)
    return found.status, found.reason, found.sends


@pytest.mark.parametrize(
    ("options", "seconds", "expected"),
    [
        ({}, 1.0, ("hit", "fresh", False)),
        ({}, 101.0, ("miss", "expired", True)),
        (SWR, 110.0, ("stale", "while-revalidate", True)),
        (AHEAD, 60.0, ("hit", "ahead", True)),
        ({**AHEAD, "offline": "only"}, 60.0, ("hit", "fresh", False)),
        ({"offline": "only"}, 101.0, ("stale", "offline", False)),
        ({"offline": "only", "offline_for": 0.0}, 101.0, ("miss", "offline", False)),
        ({"rfc9111": True, **SWR}, 110.0, ("stale", "while-revalidate", True)),
        ({"rfc9111": True, "refresh_ahead": 0.5}, 60.0, ("hit", "ahead", True)),
    ],
)
def test_a_get_gets_what_was_explained(
    make: Make, origin: Any, clock: FakeClock, options: Any, seconds: float, expected: tuple[str, str, bool]
) -> None:
    origin.reply = {"headers": {"Cache-Control": "max-age=100"}}
    before = make(**{**options, "offline": None})
    before.get()
    asking = make(**options)
    asking.get()  # whose lookups are answered from now on
    clock.advance(seconds)
    assert explained(asking) == expected
    assert status(asking.get()) == expected[:2]


@pytest.mark.parametrize(
    ("options", "method", "headers", "directives", "expected"),
    [
        ({}, "HEAD", {}, {}, ("miss", "head", True)),
        ({}, "GET", {"Cache-Control": "only-if-cached"}, {}, ("miss", "only-if-cached", False)),
        ({}, "GET", {}, {"only_if_cached": True}, ("miss", "only-if-cached", False)),
        ({}, "GET", {"Range": "bytes=0-0", "Cache-Control": "only-if-cached"}, {}, ("miss", "only-if-cached", False)),
        ({}, "GET", ETAG, {}, ("bypass", "conditional", True)),
        (RFC, "GET", ETAG, {}, ("miss", "unknown", True)),
        ({"offline": "only"}, "GET", {}, {}, ("miss", "offline", False)),
        ({"offline": "only"}, "PUT", {}, {}, ("bypass", "offline", False)),
        ({"offline": "only"}, "GET", {}, {"bypass": True}, ("bypass", "offline", False)),
    ],
)
def test_where_nothing_is_stored(
    make: Make, origin: Any, options: Any, method: str, headers: Any, directives: Any, expected: tuple[str, str, bool]
) -> None:
    origin.reply = {"headers": {"Cache-Control": "max-age=100"}}
    asking = make(**options)
    assert explained(asking, method, headers, **directives) == expected
    assert status(asking(method, fields=headers, **directives)) == expected[:2]
    assert origin.count == expected[2]


@pytest.mark.parametrize(
    ("options", "method", "headers", "expected"),
    [
        ({}, "HEAD", {}, ("hit", "fresh", False)),
        ({}, "GET", ETAG, ("hit", "precondition", False)),
        ({}, "GET", {"If-None-Match": '"2"'}, ("hit", "precondition", False)),
        (RFC, "GET", ETAG, ("hit", "precondition", False)),
        (RFC, "GET", {"Range": "bytes=0-0"}, ("hit", "partial", False)),
        (RFC, "GET", {"If-None-Match": '"2"'}, ("hit", "fresh", False)),
        ({}, "GET", {"Cache-Control": "no-cache"}, ("miss", "refresh", True)),
    ],
)
def test_where_a_get_is_stored(
    make: Make, origin: Any, options: Any, method: str, headers: Any, expected: tuple[str, str, bool]
) -> None:
    origin.reply = {"headers": {"Cache-Control": "max-age=100", "ETag": '"1"'}}
    asking = make(**options)
    asking()
    assert explained(asking, method, headers) == expected
    origin.reply = {"headers": {"Cache-Control": "max-age=100", "ETag": '"3"'}}
    assert status(asking(method, fields=headers)) == expected[:2]


def test_a_refresh_that_has_just_failed_is_not_foretold(make: Make, origin: Any, clock: FakeClock) -> None:
    asking = make(**AHEAD)
    asking()
    clock.advance(60)
    asking.cache._engine._back_off(next(iter(asking.cache.storage.table.items)))
    assert explained(asking) == ("hit", "fresh", False)
    assert status(asking()) == ("hit", "fresh")
    assert origin.count == 1


def test_a_part_near_its_end_starts_a_refresh_too(make: Make, origin: Any, clock: FakeClock) -> None:
    origin.reply = {"headers": {"Cache-Control": "max-age=100"}}
    asking = make(rfc9111=True, refresh_ahead=0.5)
    asking()
    clock.advance(60)
    part = {"Range": "bytes=0-0"}
    assert explained(asking, headers=part) == ("hit", "partial", True)
    assert status(asking(fields=part)) == ("hit", "partial")
    assert asking.cache.storage.flights or origin.count == 2, "a refresh of the whole is on its way"


def test_whose_fetch_it_is_decides(lib: SimpleNamespace, origin: Any) -> None:
    """A stream that is still open: its own task would fetch again, others wait for it."""

    async def endless() -> Any:
        yield b"1"

    origin.reply = lambda _: lib.http.Response(200, content=endless())

    async def main() -> None:
        async with lib.AsyncCacheClient(transport=origin.transport) as client:
            request = client.build_request("GET", "http://origin/a")

            async def told(how: Any) -> tuple[str, str, bool]:
                found = how(request)
                found = await found if asyncio.iscoroutine(found) else found
                return found.status, found.reason, found.sends

            async with client.stream("GET", "http://origin/a"):
                for how in (client.cache.explain, client.cache.aexplain):
                    assert await told(how) == ("miss", "own-flight", True)
                    assert await asyncio.create_task(told(how)) == ("collapsed", "joined", False)
                soon: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
                asyncio.get_running_loop().call_soon(lambda: soon.set_result(client.cache.explain(request)))
                assert (await soon).reason == "joined", "who is in no task holds no fetch"
        assert client.cache.explain(request).sends

    asyncio.run(main())
