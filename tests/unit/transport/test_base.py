"""How a transport is put together: what it refuses, what it defaults to."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import hishel
import httpx
import httpx2
import pytest
import respx

import pywats_cache.httpx
import pywats_cache.httpx2
from pywats_cache import CacheTransport, CachingError, Controller, MemoryStorage, TieredStorage
from pywats_cache.support.showing import shown
from pywats_cache.testing import FakeClock


def both(lib: SimpleNamespace) -> tuple[Any, Any]:
    return lib.CacheTransport, lib.AsyncCacheTransport


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({"clock": 5}, TypeError),
        ({"clock": "now"}, TypeError),
        ({"controller": {}}, TypeError),
        ({"controller": Controller}, TypeError),
        ({"controller": 300.0}, TypeError),
        ({"storage": {}}, TypeError),
        ({"storage": MemoryStorage}, TypeError),
        ({"storage": "memory"}, ValueError),
        ({"transport": object()}, TypeError),
        ({"transport": "http://host"}, TypeError),
    ],
)
def test_a_bad_argument_is_refused_by_name(lib: SimpleNamespace, options: Any, kind: type[Exception]) -> None:
    ((name, value),) = options.items()
    for make in both(lib):
        with pytest.raises(kind, match=name) as caught:
            make(**options)
        assert isinstance(caught.value, CachingError)
        assert ("not a text that is no URL" if value == "memory" else f"not {shown(value)}") in str(caught.value)


def test_an_unknown_argument_is_refused(lib: SimpleNamespace) -> None:
    for make in both(lib):
        with pytest.raises(TypeError, match="max_entries"):
            make(max_entries=5)


def test_a_transport_of_the_other_kind_is_refused(lib: SimpleNamespace) -> None:
    with pytest.raises(TypeError, match=r"transport must have a method handle_request\(\)"):
        lib.CacheTransport(lib.http.AsyncHTTPTransport())
    with pytest.raises(TypeError, match=r"transport must have a method handle_async_request\(\)"):
        lib.AsyncCacheTransport(lib.http.HTTPTransport())


def test_a_transport_that_caches_already_is_refused(lib: SimpleNamespace) -> None:
    for make in both(lib):
        with pytest.raises(ValueError, match="must not cache already") as caught:
            make(make())
        assert isinstance(caught.value, CachingError)


def test_a_storage_of_the_other_kind_is_refused(lib: SimpleNamespace, tmp_path: Any) -> None:
    with pytest.raises(TypeError, match="storage"):
        lib.CacheTransport(storage=MemoryStorage().as_async())
    with pytest.raises(TypeError, match="storage"):
        lib.AsyncCacheTransport(storage=hishel.SqliteStorage(database_path=tmp_path / "a.db"))


def test_any_hishel_storage_is_taken_behind_a_memory(lib: SimpleNamespace, origin: Any, tmp_path: Any) -> None:
    outer = hishel.SqliteStorage(database_path=tmp_path / "a.db")
    transport = lib.CacheTransport(origin.transport, storage=outer)
    assert isinstance(transport.storage, TieredStorage)
    with lib.http.Client(transport=transport) as client:
        assert [client.get("http://host/a").text for _ in range(2)] == ["1", "1"]
    outer.close()


def test_a_second_clock_for_one_storage_is_refused(lib: SimpleNamespace) -> None:
    storage = MemoryStorage()
    lib.CacheTransport(storage=storage, clock=FakeClock())
    lib.CacheTransport(storage=storage)
    with pytest.raises(ValueError, match="clock must be the one its storage uses already"):
        lib.AsyncCacheTransport(storage=storage, clock=FakeClock())


def test_the_parts_are_the_ones_given(lib: SimpleNamespace) -> None:
    controller, storage = Controller(ttl=5), MemoryStorage()
    for make in both(lib):
        transport = make(controller=controller, storage=storage)
        assert transport.controller is controller
        assert transport.storage is storage


def test_the_defaults_cache_each_get_for_300_s(lib: SimpleNamespace) -> None:
    for make in both(lib):
        transport = make()
        assert transport.controller.ttl == 300.0
        assert isinstance(transport.storage, MemoryStorage)
        assert make().storage is not transport.storage


def test_the_next_transport_defaults_to_the_librarys_own(lib: SimpleNamespace) -> None:
    assert type(lib.CacheTransport().next_transport) is lib.http.HTTPTransport
    assert type(lib.AsyncCacheTransport().next_transport) is lib.http.AsyncHTTPTransport
    assert isinstance(lib.CacheTransport(), lib.http.BaseTransport)
    assert isinstance(lib.AsyncCacheTransport(), lib.http.AsyncBaseTransport)


def test_the_default_next_transport_is_seen_by_respx() -> None:
    with respx.mock(assert_all_called=True) as router, httpx.Client(transport=CacheTransport()) as client:
        route = router.get("https://wats.example/api/Product/A").respond(json={"partNumber": "A"})
        got = [client.get("https://wats.example/api/Product/A").json() for _ in range(3)]
        assert got == [{"partNumber": "A"}] * 3
        assert route.call_count == 1


def test_a_repr_shows_the_parts(lib: SimpleNamespace) -> None:
    transport = lib.CacheTransport(storage=MemoryStorage(max_entries=5, max_bytes=9), controller=Controller(ttl=1))
    assert repr(transport) == (
        "CacheTransport(HTTPTransport, MemoryStorage(0/5 entries, 0/9 bytes, max_entry_bytes=9), "
        "Controller(0 rules, ttl=1.0, unmatched='cache'))"
    )


def test_both_libraries_have_the_same_public_names() -> None:
    assert pywats_cache.httpx.__all__ == pywats_cache.httpx2.__all__
    for name in pywats_cache.httpx.__all__:
        ours, theirs = getattr(pywats_cache.httpx, name), getattr(pywats_cache.httpx2, name)
        assert ours is not theirs
        assert ours.__doc__.replace("httpx", "httpx2") == theirs.__doc__


@pytest.mark.parametrize("names", [("httpx", "httpx2"), ("httpx2", "httpx")])
def test_one_storage_serves_both_libraries(names: tuple[str, str]) -> None:
    libraries = {"httpx": (httpx, pywats_cache.httpx), "httpx2": (httpx2, pywats_cache.httpx2)}
    storage, count = MemoryStorage(), [0]
    clients = []
    for name in names:
        http, ours = libraries[name]

        def answer(request: Any, http: Any = http) -> Any:
            count[0] += 1
            return http.Response(200, content=b'{"a": 1}', headers={"X-From": http.__name__})

        transport = ours.CacheTransport(http.MockTransport(answer), storage=storage)
        clients.append((http, http.Client(transport=transport)))
    for http, client in [*clients, *clients]:
        with client.stream("GET", "http://host/a") as response:
            assert isinstance(response, http.Response)
            assert isinstance(response.headers, http.Headers)
            assert b"".join(response.iter_raw()) == b'{"a": 1}'
            assert response.headers["x-from"] == names[0]
        assert client.get("http://host/a").json() == {"a": 1}
    assert count == [1]
    clients[0][1].put("http://host/a")
    assert clients[1][1].get("http://host/a").extensions["pywats_cache"].reason == "dirtied"
    for _, client in clients:
        client.close()
