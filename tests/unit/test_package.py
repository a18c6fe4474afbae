"""The package: its public names, and what importing it does and does not load."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

import pywats_cache


def loaded(code: str) -> set[str]:
    """The modules that a fresh interpreter holds after `code`."""
    program = f"{code}\nimport sys, json; print(json.dumps(sorted(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    return set(json.loads(run.stdout))


def test_every_public_name_is_there() -> None:
    assert len(pywats_cache.__all__) == len(set(pywats_cache.__all__))
    for name in pywats_cache.__all__:
        assert getattr(pywats_cache, name) is not None
    assert set(pywats_cache.__all__) | {"pyWATS", "AsyncWATS"} <= set(dir(pywats_cache))


@pytest.mark.parametrize(
    "name",
    [
        "CacheTransport",
        "AsyncCacheTransport",
        "CacheClient",
        "AsyncCacheClient",
        "Controller",
        "Read",
        "Write",
        "Bypass",
        "MemoryStorage",
        "TieredStorage",
        "CacheOutcome",
        "CacheStats",
    ],
)
def test_the_documented_names_are_public(name: str) -> None:
    assert name in pywats_cache.__all__


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = pywats_cache.no_such_name


def test_importing_loads_neither_the_sdk_nor_what_only_some_need() -> None:
    ours = loaded("import pywats_cache") - loaded("import httpx, hishel, anyio")
    heads = {module.split(".")[0] for module in ours}
    unwanted = {"pywats", "redis", "sqlite3", "anysqlite", "httpx2", "trio", "asyncio", "prometheus_client", "msgpack"}
    assert heads & unwanted == set()
    assert not {module for module in ours if module.startswith(("hishel.httpx", "pywats_cache.wats"))}
    assert "pywats_cache.httpx2" not in ours
    assert "pywats_cache.testing" not in ours
    assert "pywats_cache.engine" in ours


def test_the_other_library_loads_only_when_asked_for() -> None:
    assert "httpx2" in loaded("import pywats_cache.httpx2")
