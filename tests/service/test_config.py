"""The configuration of the station service."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from pywats_cache import ConfigurationError
from pywats_cache.support.showing import shown, shown_url
from pywats_cache.wats import ClientConfig
from pywats_cache.wats.service.reload import CacheSettings

CACHE = {
    "enable_cache": False,
    "cache_ttl_seconds": 60.0,
    "cache_max_size": 5,
    "cache_storage_url": "sqlite:////var/lib/cache.db",
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
    ("cache_storage_url", "cache.db", "sqlite:///"),
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
    assert not [name for name in config.to_dict() if name.startswith("_") or name.isupper()]


def test_a_file_of_the_vendor_loads_with_the_defaults(tmp_path: Path) -> None:
    from pywats_client.core.config import ClientConfig as Vendors

    Vendors(service_address="http://wats", station_name="S1").save(tmp_path / "config.json")
    config = ClientConfig.load(tmp_path / "config.json")
    assert (config.enable_cache, config.cache_ttl_seconds, config.cache_max_size) == (True, 300.0, 1000)
    assert config.station_name == "S1"
    assert config.validate() == []
    config.save()
    assert Vendors.load(tmp_path / "config.json").station_name == "S1"  # and ours with the vendor's


def test_a_ttl_may_be_written_as_a_duration(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"service_address": "http://wats", "cache_ttl_seconds": "10m"}', "utf-8")
    config = ClientConfig.load(tmp_path / "config.json")
    assert config.cache_ttl_seconds == 600.0
    assert config.cache_problems() == {}
    config["cache_ttl_seconds"] = "2h"
    assert config.cache_ttl_seconds == 7200.0
    config.save()
    assert json.loads((tmp_path / "config.json").read_text("utf-8"))["cache_ttl_seconds"] == 7200.0


@pytest.mark.parametrize(("name", "value", "allowed"), BAD)
def test_a_bad_value_is_named_with_what_is_allowed(name: str, value: Any, allowed: str) -> None:
    config = ClientConfig.from_dict({name: value})
    [error] = config.validate()
    assert name in error
    assert (shown_url if value == "cache.db" else shown)(value) in error
    assert allowed in error
    assert not config.is_valid()
    with pytest.raises((ValueError, TypeError), match=name):
        config[name] = value
    with pytest.raises(ConfigurationError, match=name):
        config.check_cache()
    assert name in config.repair()[0]
    assert config.validate() == []


@pytest.mark.parametrize(
    "url",
    ["", "memory://?max_entries=5", "sqlite:///c.db", "sqlite:////var/c.db?max_bytes=5", "redis://h:6379/0?max_lag=2",
     "rediss://u:pw@h"],
)  # fmt: skip
def test_a_url_that_a_client_takes_is_one_here(url: str) -> None:
    config = ClientConfig()
    config["cache_storage_url"] = url
    assert config.validate() == []
    assert ClientConfig.from_dict(config.to_dict()).cache_storage_url == url


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("redis://:hunter2@/0", "cache_storage_url redis:// must name a host"),
        ("redis://:hunter2@h/zero", "redis://h/…"),
        ("sqlite://hunter2@h/x", "cache_storage_url sqlite:// must name no host"),
        ("hunter2@host", "no URL"),
    ],
)
def test_no_password_of_a_url_is_shown(url: str, allowed: str) -> None:
    config = ClientConfig.from_dict({"cache_storage_url": url})
    assert allowed in config.validate()[0]
    said = [*config.validate(), repr(config), str(config), *config.repair()]
    assert "hunter2" not in "".join(said)
    assert "hunter2" not in repr(ClientConfig(cache_storage_url="redis://:hunter2@h"))


def test_a_storage_that_is_another_programs_is_refused_before_the_service_uses_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = tmp_path / "theirs.db"
    theirs.write_text("a list")
    url = f"sqlite:///{theirs.as_posix()}"
    with pytest.raises(ConfigurationError, match=r"^cache_storage_url sqlite.*theirs\.db is no file of this cache"):
        CacheSettings(ClientConfig(cache_storage_url=url))
    with pytest.raises(ConfigurationError, match="none does not exist"):
        CacheSettings(ClientConfig(cache_storage_url=f"sqlite:///{tmp_path.as_posix()}/none/c.db"))
    CacheSettings(ClientConfig(cache_storage_url=url, enable_cache=False))
    # The file may be right where the configuration is used, so it is not a matter of the configuration alone.
    assert ClientConfig(cache_storage_url=url).validate() == []
    monkeypatch.setenv("PYWATS_CACHE_STORAGE", url)
    with pytest.raises(ConfigurationError, match=r"^PYWATS_CACHE_STORAGE sqlite"):
        CacheSettings(ClientConfig())
    assert theirs.read_text() == "a list"


def test_the_environment_names_the_storage_of_a_file_that_names_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYWATS_CACHE_STORAGE", "memory://?max_entries=7")
    assert CacheSettings(ClientConfig()).entries == 7
    assert CacheSettings(ClientConfig(cache_storage_url="memory://", cache_max_size=9)).entries == 9
    monkeypatch.setenv("PYWATS_CACHE_STORAGE", "redis://:hunter2@/0")
    with pytest.raises(ConfigurationError, match="PYWATS_CACHE_STORAGE redis:// must name a host"):
        CacheSettings(ClientConfig())


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


def test_an_unknown_field_is_saved_again(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"station_name": "S1", "of_a_newer_version": {"a": [1]}}), "utf-8")
    config = ClientConfig.load(path)
    config.station_name = "S2"
    config.save()
    document = json.loads(path.read_text("utf-8"))
    assert (document["station_name"], document["of_a_newer_version"]) == ("S2", {"a": [1]})
    assert ClientConfig.load(path) == config


def test_no_constant_of_the_sdk_is_taken_from_a_file(caplog: pytest.LogCaptureFixture) -> None:
    config = ClientConfig.from_dict({"CURRENT_SCHEMA_VERSION": "1.0", "MIN_SCHEMA_VERSION": "9.0"})
    assert config.validate() == []
    assert caplog.text == ""


def test_load_and_repair_keeps_the_rest(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    ClientConfig(station_name="S1").save(path)
    document = {**json.loads(path.read_text("utf-8")), "cache_ttl_seconds": "abc"}
    path.write_text(json.dumps(document), "utf-8")
    config, repairs = ClientConfig.load_and_repair(path)
    assert (config.station_name, config.cache_ttl_seconds) == ("S1", 300.0)
    assert "cache_ttl_seconds" in repairs[0]


def test_what_another_program_has_changed_meanwhile_is_saved_too(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    ClientConfig(station_name="S1", cache_ttl_seconds=60).save(path)
    mine, theirs = ClientConfig.load(path), ClientConfig.load(path)
    mine["cache_ttl_seconds"] = 600
    theirs.station_name = "S2"
    theirs.save()
    mine.save()
    found = ClientConfig.load(path)
    assert (found.station_name, found.cache_ttl_seconds) == ("S2", 600)
    theirs["cache_ttl_seconds"] = 5
    with pytest.raises(ConfigurationError, match=r"another program has changed cache_ttl_seconds in .*: load it"):
        theirs.save()
    assert ClientConfig.load(path).cache_ttl_seconds == 600
    mine["cache_max_size"] = 7
    mine.save()
    assert (ClientConfig.load(path).station_name, ClientConfig.load(path).cache_max_size) == ("S2", 7)


def test_a_broken_file_is_left_as_it_is_and_repaired_only_on_purpose(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    ClientConfig(station_name="S1").save(path)
    ClientConfig.load(path).save()
    backup = path.with_name("config.json.bak")
    backup.write_bytes(path.read_bytes())
    path.write_text('{"api_token": "hunter2", half', "utf-8")
    with pytest.raises(ConfigurationError, match=r"is no JSON \(line 1, column \d+") as refused:
        ClientConfig.load(path)
    assert "hunter2" not in str(refused.value)
    assert path.read_text("utf-8") == '{"api_token": "hunter2", half'
    config, repairs = ClientConfig.load_and_repair(path)
    assert config.station_name == "S1"
    assert repairs[0].startswith("Took the backup")
    assert ClientConfig.load(path) == config
    assert path.with_name("config.json.broken").read_text("utf-8") == '{"api_token": "hunter2", half'


def test_a_file_that_is_gone_is_read_from_its_backup(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    with pytest.raises(FileNotFoundError, match="config sample"):
        ClientConfig.load(path)
    ClientConfig(station_name="S1").save(tmp_path / "config.json.bak")
    assert ClientConfig.load(path).station_name == "S1"
    assert not path.exists()


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("web_hosts", "station7.example", "must be a list of host names"),
        ("web_hosts", ["a:8080"], "without a port"),
        ("web_hosts", ["*"], "without a port"),
        ("web_hosts", [5], "5 is no string"),
        ("web_prefix", "station7", "such as /station7"),
        ("web_prefix", "/a/../b", "such as /station7"),
        ("web_prefix", "//evil.example", "such as /station7"),
        ("web_prefix", 7, "such as /station7"),
    ],
)
def test_the_way_to_the_page_is_checked(field: str, value: Any, says: str) -> None:
    config = ClientConfig()
    with pytest.raises((ValueError, TypeError), match=says):
        config[field] = value
    config["web_hosts"], config["web_prefix"] = ["Proxy.example", "10.0.0.1", "::1"], "/stations/7/"
    assert config.validate() == []
