"""The cache arguments: a bad one is named, with its value and what is allowed; two that exclude each other are told."""

from __future__ import annotations

import traceback

import httpx
import pytest
from pywats.core.circuit_breaker import CircuitBreakerOpenError
from pywats.core.exceptions import PyWATSError

from pywats_cache import (
    AsyncCacheTransport,
    AsyncWATS,
    CacheTransport,
    CachingError,
    ConfigurationError,
    Controller,
    MemoryStorage,
    pyWATS,
)
from pywats_cache.support.showing import shown
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
    assert shown(value) in text


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


PASSWORD = "hunter2"
ADDRESS = f"http://user:{PASSWORD}@127.0.0.1:9/wats"


@pytest.mark.parametrize("client", [pyWATS, HttpClient])
def test_the_password_of_an_address_is_in_no_message(client: type, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("DEBUG"), client(base_url=ADDRESS, token="eA==") as api:
        http = api._http_client if client is pyWATS else api
        assert http.base_url == ADDRESS, "it is used as it was given"
        for _ in range(7):  # from the sixth on the breaker of a pyWATS is open
            with pytest.raises((PyWATSError, CircuitBreakerOpenError)) as caught:
                http.get("/a") if client is HttpClient else api.product.get_product("PN-1")
            told = "".join(traceback.format_exception(caught.type, caught.value, caught.tb))
            assert PASSWORD not in f"{told}{caught.value.details if hasattr(caught.value, 'details') else ''}"
        assert PASSWORD not in repr(api)
        assert "127.0.0.1:9" in str(caught.value) or "OPEN" in str(caught.value)
    assert PASSWORD not in "".join(r.getMessage() for r in caplog.records if r.name.startswith("pywats"))


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("token", [f"{PASSWORD}\n", f"{PASSWORD}\u00e4", f"{PASSWORD}\x00"])
def test_a_token_that_cannot_be_sent_is_refused_and_not_shown(client: type, token: str) -> None:
    with pytest.raises(ConfigurationError, match="token must be printable ASCII") as caught:
        client(base_url="http://127.0.0.1:9", token=token)
    assert PASSWORD not in "".join(traceback.format_exception(caught.type, caught.value, caught.tb))


@pytest.mark.parametrize("client", CLIENTS)
def test_an_address_that_cannot_be_read_is_refused_and_not_shown(client: type) -> None:
    with pytest.raises(ConfigurationError, match="base_url must be a URL such as https:") as caught:
        client(base_url=f"https://wats.example:{PASSWORD}", token="eA==")
    assert PASSWORD not in "".join(traceback.format_exception(caught.type, caught.value, caught.tb))
