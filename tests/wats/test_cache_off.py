"""With the cache off, every call sends and returns what it does with the vendor's client."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import pywats as sdk
from pywats import pywats as sdk_module
from sdk_calls import arguments, service, service_methods

from pywats_cache import pyWATS

# Of the SDK's own caches, which enable_cache=False does not reach, ours has none.
KEPT_BY_THE_SDK = {"process", "production"}


@pytest.fixture(scope="module")
def theirs(_started) -> Iterator[sdk.pyWATS]:
    api = sdk.pyWATS(base_url=_started.base_url, token=_started.token, enable_cache=False)
    api._http_client._rate_limiter.enabled = False
    yield api
    sdk_module._run_sync(api._http_client.close())


@pytest.fixture(scope="module")
def ours(_started) -> Iterator[pyWATS]:
    with pyWATS(base_url=_started.base_url, token=_started.token, enable_cache=False) as api:
        api._http_client._rate_limiter.enabled = False
        yield api


def observe(api, domain: str, name: str, server):
    """What the call returns or raises, and what it sends."""
    server.reset()
    args, kwargs = arguments(domain, name, server)
    try:
        outcome = type(getattr(service(api, domain), name)(*args, **kwargs))
    except TypeError as error:
        outcome = (type(error), str(error).partition("()")[2])  # before it, the name of the class
    except Exception as error:
        outcome = (type(error), str(error))
    return outcome, [(r.method, r.path, r.status) for r in server.requests]


@pytest.mark.parametrize(("domain", "name"), service_methods(), ids=lambda value: value)
def test_it_is_the_vendors(domain: str, name: str, ours, theirs, server) -> None:
    expected, expected_requests = observe(theirs, domain, name, server)
    outcome, requests = observe(ours, domain, name, server)
    if name == "get_box_build_template":
        assert issubclass(outcome, expected)
    else:
        assert outcome == expected
    if domain not in KEPT_BY_THE_SDK:
        assert requests == expected_requests
