"""docs/reference/configuration.md has every setting, with the default that it has."""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import prometheus_client
import pytest

import pywats_cache as package
from pywats_cache import httpx, httpx2, wats
from pywats_cache.metrics import watch
from pywats_cache.policy.directives import Directives
from pywats_cache.web import serve

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "reference" / "configuration.md").read_text("utf-8")
SECTIONS: dict[str, tuple[Callable[..., Any], ...]] = {
    "CacheTransport": (
        *(httpx.CacheTransport, httpx.AsyncCacheTransport, httpx.CacheClient, httpx.AsyncCacheClient),
        *(httpx2.CacheTransport, httpx2.AsyncCacheTransport, httpx2.CacheClient, httpx2.AsyncCacheClient),
    ),
    "Controller": (package.Controller,),
    "Read": (package.Read,),
    "Write": (package.Write,),
    "Bypass": (package.Bypass,),
    "Directives": (Directives,),
    "MemoryStorage": (package.MemoryStorage,),
    "TieredStorage": (package.TieredStorage,),
    "SharedStorage": (package.SharedStorage,),
    "RedisSharedStorage": (package.RedisSharedStorage,),
    "pyWATS": (wats.pyWATS, wats.AsyncWATS, wats.HttpClient, wats.AsyncHttpClient),
    "wats_controller": (wats.wats_controller,),
    "watch": (watch,),
    "serve": (serve,),
}
OF_THE_SERVICE = ("ClientConfig", "AsyncClientService")
REQUIRED = inspect.Parameter.empty


def documented(section: str) -> dict[str, Any]:
    """The default of each setting in a section."""
    body = PAGE.split(f"### `{section}`\n", 1)[1].split("\n#", 1)[0]
    rows = re.findall(r"^\| `(\w+)` \| (.+?) \| ", body, re.MULTILINE)
    return {name: REQUIRED if default == "required" else _value(default) for name, default in rows}


def _value(default: str) -> Any:
    return eval(default.strip("`"), {"prometheus_client": prometheus_client})


def settings(made_by: Callable[..., Any]) -> dict[str, Any]:
    """The default of each parameter; of the SDK's classes, of those that concern the cache."""
    found = {
        name: parameter.default
        for name, parameter in inspect.signature(made_by).parameters.items()
        if parameter.kind not in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    }
    if made_by in SECTIONS["pyWATS"]:
        return {name: default for name, default in found.items() if "cache" in name}
    return found


@pytest.mark.parametrize("section", SECTIONS)
def test_every_parameter_is_documented_with_its_default(section: str) -> None:
    for made_by in SECTIONS[section]:
        assert documented(section) == settings(made_by), made_by


def test_every_section_is_checked() -> None:
    titles = re.findall(r"^### `(\w+)`$", PAGE, re.MULTILINE)
    assert sorted(titles) == sorted([*SECTIONS, *OF_THE_SERVICE])


def test_everything_public_that_takes_settings_has_a_section() -> None:
    classes = {
        getattr(module, name)
        for module in (package, httpx, httpx2, wats)
        for name in module.__all__
        if inspect.isclass(getattr(module, name)) and not issubclass(getattr(module, name), BaseException)
    }
    told = {made_by for all_of in SECTIONS.values() for made_by in all_of}
    values = {package.CacheOutcome, package.CacheStats, wats.Route, wats.LimitedTransport, wats.AsyncLimitedTransport}
    assert classes - told == values


def test_the_stations_fields_are_documented_with_their_defaults() -> None:
    config = pytest.importorskip("pywats_cache.wats.service.config", exc_type=ImportError)
    from pywats_cache.wats.service.fields import FIELDS

    names = {field.name for field in FIELDS}
    assert {field.name for field in dataclasses.fields(config.ClientConfig) if "cache" in field.name} <= names
    assert documented("ClientConfig") == {field.name: field.default for field in FIELDS}
    assert {name: getattr(config.ClientConfig(), name) for name in names} == documented("ClientConfig")


def test_the_stations_parameters_are_documented_with_their_defaults() -> None:
    service = pytest.importorskip("pywats_cache.wats.service.service", exc_type=ImportError)
    assert documented("AsyncClientService") == settings(service.AsyncClientService)


def test_every_environment_variable_is_documented() -> None:
    sources = "\n".join(path.read_text("utf-8") for path in (ROOT / "src").rglob("*.py"))
    used = set(re.findall(r"\b(?:PYWATS|PROMETHEUS)_[A-Z_]+[A-Z]\b", sources))
    table = PAGE.split("## Environment variables\n", 1)[1]
    assert set(re.findall(r"^\| `([A-Z_]+)` \|", table, re.MULTILINE)) == used


def test_every_parameter_of_a_storage_url_is_documented() -> None:
    from pywats_cache import ConfigurationError
    from pywats_cache.storage.url import parse_storage_url

    table = PAGE.split("### Storage URLs\n", 1)[1].split("\n### ")[0]
    rows = re.findall(r"^\| `(\w+)://.+ \| (.+) \|$", table, re.MULTILINE)
    assert [scheme for scheme, _ in rows] == ["memory", "sqlite", "redis"]
    url_of = {"memory": "memory://", "sqlite": "sqlite:///a.db", "redis": "redis://host"}
    value_of = {"on_unreachable": "fail", "prefix": "p", "policy": "lru", "read_in_loop": "true"}
    for scheme, cell in rows:
        known = re.findall(r"`(\w+)`", cell)
        query = "&".join(f"{name}={value_of.get(name, 5)}" for name in known)
        assert set(parse_storage_url(f"{url_of[scheme]}?{query}").options) == set(known)
        if scheme != "redis":
            with pytest.raises(ConfigurationError) as refused:
                parse_storage_url(f"{url_of[scheme]}?nonsense=1")
            assert all(name in str(refused.value) for name in known)


def test_every_form_and_parameter_of_a_redis_url_is_documented() -> None:
    from pywats_cache.storage.redis.parameters import TAKEN
    from pywats_cache.storage.redis.url import SCHEMES, address_of

    section = PAGE.split("### URLs of Redis\n", 1)[1].split("\n## ")[0]
    forms = re.findall(r"`((?:[a-z+]+)://[^`]+)`", section)
    assert {form.partition("://")[0] for form in forms} == set(SCHEMES)
    for form in forms:
        address_of(form)
    cells = re.findall(r"^\| (`\w+`.*?) \|", section, re.MULTILINE)
    assert sorted(name for cell in cells for name in re.findall(r"`(\w+)`", cell)) == sorted(TAKEN)
