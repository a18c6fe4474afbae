"""The configuration of the station service."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from pywats_cache import ConfigurationError
from pywats_cache.wats import ClientConfig

CACHE = {
    "enable_cache": False,
    "cache_ttl_seconds": 60.0,
    "cache_max_size": 5,
    "cache_storage_url": "sqlite:///var/lib/cache.db",
    "cache_offline": "auto",
}
BAD = [
    ("enable_cache", "no", "True or False"),
    ("cache_ttl_seconds", -5.0, ">= 0"),
    ("cache_ttl_seconds", "abc", "number of seconds"),
    ("cache_ttl_seconds", float("nan"), ">= 0"),
    ("cache_max_size", 0, ">= 1"),
    ("cache_max_size", -1, ">= 1"),
    ("cache_max_size", 2.5, ">= 1"),
    ("cache_max_size", True, ">= 1"),
    ("cache_storage_url", "redis://host", "sqlite:///"),
    ("cache_storage_url", "sqlite://host/x", "sqlite:///"),
    ("cache_storage_url", 5, "sqlite:///"),
    ("cache_offline", "always", "'auto'"),
]


def test_what_is_saved_is_what_is_loaded(tmp_path: Path) -> None:
    config = ClientConfig(**CACHE, enable_metrics=False, metrics_port=1234, api_enabled=True)
    config.save(tmp_path / "config.json")
    again = ClientConfig.load(tmp_path / "config.json")
    assert again == config
    assert {name: getattr(again, name) for name in CACHE} == CACHE
    again.save()
    assert json.loads((tmp_path / "config.json").read_text("utf-8")) == config.to_dict()
    assert config.to_dict()["schema_version"] == "2.0"
    assert not [name for name in config.to_dict() if name.startswith("_")]


def test_a_file_of_the_vendor_loads_with_the_defaults(tmp_path: Path) -> None:
    from pywats_client.core.config import ClientConfig as Vendors

    Vendors(service_address="http://wats", station_name="S1").save(tmp_path / "config.json")
    config = ClientConfig.load(tmp_path / "config.json")
    assert (config.enable_cache, config.cache_ttl_seconds, config.cache_max_size) == (True, 300.0, 1000)
    assert config.station_name == "S1"
    assert config.validate() == []
    config.save()
    assert Vendors.load(tmp_path / "config.json").station_name == "S1"  # and ours with the vendor's


@pytest.mark.parametrize(("name", "value", "allowed"), BAD)
def test_a_bad_value_is_named_with_what_is_allowed(name: str, value: Any, allowed: str) -> None:
    config = ClientConfig.from_dict({name: value})
    [error] = config.validate()
    assert name in error
    assert repr(value) in error
    assert allowed in error
    assert not config.is_valid()
    with pytest.raises((ValueError, TypeError), match=name):
        config[name] = value
    with pytest.raises(ConfigurationError, match=name):
        config.check_cache()
    assert name in config.repair()[0]
    assert config.validate() == []


@pytest.mark.parametrize("ttl", [600, 0, 0.5, float("inf")])
def test_a_whole_number_of_seconds_is_a_ttl(ttl: float) -> None:
    config = ClientConfig()
    config["cache_ttl_seconds"] = ttl
    assert config["cache_ttl_seconds"] == ttl
    assert config.validate() == []


def test_an_unknown_field_is_named(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(KeyError, match="did you mean 'cache_max_size'"):
        ClientConfig()["cache_maxsize"] = 5
    with pytest.raises(KeyError, match="zzz"):
        ClientConfig()["zzz"] = 5
    with caplog.at_level(logging.WARNING, "pywats_cache"):
        ClientConfig.from_dict({"cache_ttl": 5})
    assert "'cache_ttl', which is unknown; did you mean 'cache_ttl_seconds'?" in caplog.text


def test_load_and_repair_keeps_the_rest(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    ClientConfig(station_name="S1").save(path)
    document = {**json.loads(path.read_text("utf-8")), "cache_ttl_seconds": "abc"}
    path.write_text(json.dumps(document), "utf-8")
    config, repairs = ClientConfig.load_and_repair(path)
    assert (config.station_name, config.cache_ttl_seconds) == ("S1", 300.0)
    assert "cache_ttl_seconds" in repairs[0]
