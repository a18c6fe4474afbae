"""The package: its public names, and what importing it does and does not load."""

from __future__ import annotations

import importlib
import json
import pickle
import subprocess
import sys

import pytest

import pywats_cache
from pywats_cache.support.lazy import needs


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


def test_the_package_alone_loads_no_library_and_none_of_its_rooms() -> None:
    ours = loaded("import pywats_cache") - loaded("import importlib.machinery")
    assert {module for module in ours if not module.startswith("pywats_cache")} <= {"__future__"}
    assert {module for module in ours if module.startswith("pywats_cache")} == {"pywats_cache", "pywats_cache._version"}


def test_a_client_loads_neither_the_sdk_nor_what_only_some_need() -> None:
    ours = loaded("from pywats_cache import *") - loaded("import httpx, hishel, anyio")
    heads = {module.split(".")[0] for module in ours}
    unwanted = {"pywats", "redis", "sqlite3", "anysqlite", "httpx2", "trio", "asyncio", "prometheus_client", "msgpack"}
    assert heads & unwanted == set()
    assert not {module for module in ours if module.startswith(("hishel.httpx", "pywats_cache.wats"))}
    assert "pywats_cache.httpx2" not in ours
    assert "pywats_cache.testing" not in ours
    assert "pywats_cache.support.http_types" not in ours  # for type checkers only
    assert "pywats_cache.engine.engine" in ours


def test_each_library_loads_only_when_its_face_is_asked_for() -> None:
    assert {"httpx2", "httpx"} & loaded("import pywats_cache.httpx2") == {"httpx2"}
    assert {"httpx2", "httpx"} & loaded("import pywats_cache; pywats_cache.CacheClient") == {"httpx"}
    policy = loaded("from pywats_cache import Controller, Read, Write, Bypass, CacheOutcome, ConfigurationError")
    assert not {"httpx2", "httpx", "hishel", "anyio"} & policy


def test_the_public_modules_are_attributes_of_the_package() -> None:
    for name in ("errors", "httpx", "httpx2", "metrics", "testing", "wats", "web"):
        assert getattr(pywats_cache, name) is importlib.import_module(f"pywats_cache.{name}")


@pytest.mark.parametrize("name", [name for name in dir(pywats_cache) if name[0] != "_" and name != "REASONS"])
def test_a_public_class_names_no_room(name: str) -> None:
    kind = getattr(pywats_cache, name)
    assert (kind.__module__, kind.__qualname__) == ("pywats_cache", name)
    assert pickle.loads(pickle.dumps(kind)) is kind


@pytest.mark.parametrize(
    ("missing", "code", "extra"),
    [
        ("pywats", "from pywats_cache import pyWATS", "wats"),
        ("pywats", "import pywats_cache.wats", "wats"),
        ("httpx2", "import pywats_cache.httpx2", "httpx2"),
        ("prometheus_client", "from pywats_cache.metrics import watch", "prometheus"),
        ("opentelemetry", "import pywats_cache.metrics.tracing", "opentelemetry"),
        ("starlette", "from pywats_cache.web import serve", "web"),
        ("starlette", "from pywats_cache.wats import AsyncClientService", "service"),
        ("redis", "from pywats_cache import RedisSharedStorage as R; R('redis://host')", "redis"),
    ],
)
def test_what_needs_an_extra_names_it(missing: str, code: str, extra: str) -> None:
    program = f"import sys; sys.modules[{missing!r}] = None\n{code}"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    assert f"pip install 'pywats-cache[{extra}]'" in run.stderr.splitlines()[-1]


def test_tracing_needs_no_prometheus_client() -> None:
    loaded("import sys; sys.modules['prometheus_client'] = None; import pywats_cache.metrics.tracing")


def test_a_fault_of_ours_is_not_blamed_on_an_extra() -> None:
    error = ModuleNotFoundError("No module named 'pywats_cache.typo'", name="pywats_cache.typo")
    assert needs("wats", error) is error
