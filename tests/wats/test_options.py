"""The cache arguments: a bad one is named, with its value and what is allowed; two that exclude each other are told."""

from __future__ import annotations

import httpx
import pytest

from pywats_cache import AsyncCacheTransport, AsyncWATS, CacheTransport, CachingError, Controller, MemoryStorage, pyWATS
from pywats_cache.wats import AsyncHttpClient, HttpClient

CLIENTS = [pyWATS, AsyncWATS, HttpClient, AsyncHttpClient]


def make(client: type, **options: object):
    return client(**{"base_url": "http://wats.example", "token": "t", **options})


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize(
    ("name", "value", "kind", "allowed"),
    [
        ("cache_ttl", -1, ValueError, "a number of seconds >= 0"),
        ("cache_ttl", float("nan"), ValueError, "a number of seconds >= 0"),
        ("cache_ttl", True, TypeError, "a number of seconds >= 0"),
        ("cache_ttl", "300", TypeError, "a number of seconds >= 0"),
        ("cache_ttl", None, TypeError, "a number of seconds >= 0"),
        ("cache_ttl_seconds", -1, ValueError, "a number of seconds >= 0"),
        ("cache_ttl_seconds", "300", TypeError, "a number of seconds >= 0"),
        ("cache_max_size", 0, ValueError, "a whole number >= 1"),
        ("cache_max_size", -5, ValueError, "a whole number >= 1"),
        ("cache_max_size", True, TypeError, "a whole number >= 1"),
        ("cache_max_size", 10.0, TypeError, "a whole number >= 1"),
        ("cache_max_size", "10", TypeError, "a whole number >= 1"),
        ("enable_cache", "no", TypeError, "True or False"),
        ("enable_cache", 1, TypeError, "True or False"),
        (
            "cache_storage",
            {},
            TypeError,
            "a MemoryStorage, SharedStorage, RedisSharedStorage, TieredStorage or hishel storage",
        ),
        ("cache_controller", {}, TypeError, "Controller"),
        ("cache_transport", httpx.MockTransport(lambda request: httpx.Response(200)), TypeError, "CacheTransport"),
    ],
)
def test_a_bad_value_is_named(client: type, name: str, value: object, kind: type, allowed: str) -> None:
    with pytest.raises(kind) as caught:
        make(client, **{name: value})
    assert isinstance(caught.value, CachingError)
    text = str(caught.value)
    assert name in text
    assert allowed in text
    assert repr(value) in text


@pytest.mark.parametrize("client", CLIENTS)
def test_a_bad_value_is_named_with_the_cache_off_too(client: type) -> None:
    with pytest.raises(ValueError, match="cache_max_size"):
        make(client, enable_cache=False, cache_max_size=0)


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("ttl", [300.0, 300, 60])
def test_the_two_names_of_the_ttl_exclude_each_other(client: type, ttl: float) -> None:
    with pytest.raises(TypeError, match="cache_ttl and cache_ttl_seconds"):
        make(client, cache_ttl=ttl, cache_ttl_seconds=60)


@pytest.mark.parametrize("client", CLIENTS)
def test_cache_ttl_seconds_is_cache_ttl(client: type) -> None:
    made = make(client, cache_ttl_seconds=20)
    assert made.cache.controller.decide("GET", "/api/Product/A").ttl == 20.0


def test_what_one_brings_decides_what_it_decides() -> None:
    with pytest.raises(TypeError, match="cache_max_size must not be given together with cache_storage"):
        make(pyWATS, cache_storage=MemoryStorage(), cache_max_size=1000)
    with pytest.raises(TypeError, match="cache_ttl must not be given together with cache_controller"):
        make(pyWATS, cache_controller=Controller(), cache_ttl=60)
    cache = CacheTransport(httpx.MockTransport(lambda request: httpx.Response(200)))
    for name, value in {
        "cache_ttl": 60,
        "cache_ttl_seconds": 60,
        "cache_max_size": 5,
        "cache_storage": MemoryStorage(),
        "cache_controller": Controller(),
    }.items():
        with pytest.raises(TypeError, match=f"{name} must not be given together with cache_transport"):
            make(pyWATS, cache_transport=cache, **{name: value})
    with pytest.raises(TypeError, match="cache_transport must be a"):
        make(AsyncWATS, cache_transport=cache)
    with pytest.raises(TypeError, match="cache_transport must be a"):
        make(pyWATS, cache_transport=AsyncCacheTransport())


def test_no_credential_shows() -> None:
    made = [make(client, token="c2VjcmV0") for client in CLIENTS]
    assert "c2VjcmV0" not in "".join(repr(each) + repr(each.cache) + repr(each.cache.storage) for each in made)
