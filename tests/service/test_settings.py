"""The settings of a running service: from its page, from the command line and by hand, all of it live."""

from __future__ import annotations

import asyncio
import json
import os
from importlib.resources import files
from pathlib import Path
from typing import Any

import httpx
import pytest
from service_world import running

from pywats_cache import ConfigurationError, SharedStorage
from pywats_cache.testing import SimulatedWATS
from pywats_cache.wats import AsyncClientService, ClientConfig
from pywats_cache.wats.service import service as module
from pywats_cache.wats.service.config_file import backup_of, change_config

TOKEN = {"Authorization": "Bearer hush"}
URL = "/cache/settings"
FIELDS = ["enable_cache", "cache_ttl_seconds", "cache_max_size", "cache_storage_url", "cache_offline"]


@pytest.fixture
def path(tmp_path: Path, wats: SimulatedWATS) -> Path:
    path = tmp_path / "config.json"
    given = {"service_address": wats.base_url, "api_token": wats.token, "cache_ttl_seconds": 60}
    ClientConfig(**given, web_hosts=["station7.example"], web_prefix="/station7/").save(path)
    return path


def document(path: Path) -> Any:
    return json.loads(path.read_text("utf-8"))


def of(answer: httpx.Response, what: str = "value") -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    return {field["name"]: field[what] for field in answer.json()["fields"]}


def test_the_settings_are_shown_and_changed_with_the_token_only(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = path.read_bytes()

    async def check() -> None:
        async with running(path, monkeypatch) as (_, http):
            for headers in ({}, {"Authorization": "Bearer no"}, {**TOKEN, "Sec-Fetch-Site": "cross-site"}):
                for answer in (
                    await http.get(URL, headers=headers),
                    await http.post(URL, headers=headers, json={"changes": {"cache_ttl_seconds": 5}}),
                ):
                    assert answer.status_code == 403
                    assert answer.json()["field"] == "token"
                    assert "fields" not in answer.json()
            assert path.read_bytes() == before
            assert (await http.get("/cache/stats")).json()["settings"] is True
            shown = await http.get(URL, headers=TOKEN)
            assert list(of(shown)) == FIELDS
            assert of(shown)["cache_ttl_seconds"] == 60

    asyncio.run(check())


def test_each_setting_is_saved_and_applied_at_once_and_said_in_words(
    path: Path, wats: SimulatedWATS, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    url = f"sqlite:///{(tmp_path / 'cache.db').as_posix()}"

    async def check() -> None:
        async with running(path, monkeypatch) as (service, http):

            async def change(**changes: Any) -> Any:
                answer = await http.post(URL, headers=TOKEN, json={"changes": changes})
                assert answer.status_code == 200, answer.text
                assert answer.json()["changed"] == list(changes)
                return answer.json()["text"]

            await service.api.product.get_product("PN-1000")
            await service.api.product.get_product("PN-1001")
            assert "for 30 s" in await change(cache_ttl_seconds="30")
            assert service.api.cache.stats.entries == 2  # what is stored stays
            assert document(path)["cache_ttl_seconds"] == 30
            assert document(backup_of(path))["cache_ttl_seconds"] == 60
            assert "however old" in await change(cache_ttl_seconds="inf")
            assert (await http.get("/health/details")).json()["details"]["cache"]["ttl_seconds"] is None
            assert "At most 1 answers" in await change(cache_max_size="1")
            assert service.api.cache.stats.entries == 1
            assert "stored answers are served" in await change(cache_offline="auto")
            assert service.config.cache_offline == "auto"
            assert url in await change(cache_storage_url=url)
            assert isinstance(service.api.cache.storage, SharedStorage)
            assert "the cache is off" in (await change(enable_cache=False)).lower()
            assert service.api.cache is None
            assert (await http.get("/cache/stats")).json() == {
                "client": service.instance_id, "enabled": False, "settings": True,
            }  # fmt: skip
            assert "The cache is on" in await change(enable_cache="on", cache_max_size=7)
            assert service.api.cache is not None
            same = await http.post(URL, headers=TOKEN, json={"changes": {"cache_max_size": 7}})
            assert same.json()["text"] == "Nothing was changed: it is so already."
            assert any("need" in note and "restart" in note for note in same.json()["notes"])
            assert wats.token not in same.text
            assert document(path)["station_name_source"] == "hostname"

    asyncio.run(check())


@pytest.mark.parametrize(
    ("changes", "field", "says"),
    [
        ({"cache_ttl_seconds": "abc"}, "cache_ttl_seconds", "must be a number of seconds"),
        ({"cache_ttl_seconds": None}, "cache_ttl_seconds", "must be a number of seconds"),
        ({"cache_max_size": "0"}, "cache_max_size", "whole number >= 1"),
        ({"cache_max_size": "2.5"}, "cache_max_size", "whole number >= 1"),
        ({"enable_cache": "maybe"}, "enable_cache", "True or False"),
        ({"cache_offline": "always"}, "cache_offline", "'auto'"),
        ({"cache_offline": ["auto"]}, "cache_offline", "'auto'"),
        ({"cache_storage_url": "redis://:hunter2@/0"}, "cache_storage_url", "must name a host"),
        ({"cache_storage_url": "sqlite:////no/such/directory/c.db"}, "cache_storage_url", "does not exist"),
        ({"api_token": "hunter2"}, None, "the fields are enable_cache"),
    ],
)
def test_a_value_that_is_not_allowed_changes_nothing_and_names_its_field(
    path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], field: str | None, says: str
) -> None:
    async def check() -> None:
        async with running(path, monkeypatch) as (service, http):
            before = path.read_bytes()
            answer = await http.post(URL, headers=TOKEN, json={"changes": {"cache_max_size": 5, **changes}})
            assert (answer.status_code, answer.json()["field"]) == (400, field)
            assert says in answer.json()["error"]
            assert "hunter2" not in answer.text
            assert path.read_bytes() == before
            assert service.api.cache.storage.max_entries == 1000
            for given in ({}, {"changes": []}, {"changes": {}, "version": 5}):
                assert (await http.post(URL, headers=TOKEN, json=given)).status_code == 400

    asyncio.run(check())


def test_a_password_in_the_url_of_the_storage_is_not_shown(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    change_config(path, lambda found: {**found, "enable_cache": False, "cache_storage_url": "redis://u:hunter2@h/3"})

    async def check() -> None:
        async with running(path, monkeypatch) as (_, http):
            shown = await http.get(URL, headers=TOKEN)
            assert "hunter2" not in shown.text
            assert (of(shown)["cache_storage_url"], of(shown, "hidden")["cache_storage_url"]) == (None, True)
            assert of(shown, "shown")["cache_storage_url"] == "redis://h/3"
            await http.post(URL, headers=TOKEN, json={"changes": {"cache_ttl_seconds": 5}})
            assert document(path)["cache_storage_url"] == "redis://u:hunter2@h/3"

    asyncio.run(check())


def test_two_editors_at_once_lose_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def check() -> None:
        async with running(path, monkeypatch) as (service, http):
            version = (await http.get(URL, headers=TOKEN)).json()["version"]
            change_config(path, lambda found: {**found, "station_name": "renamed"})
            answer = await http.post(URL, headers=TOKEN, json={"changes": {"cache_max_size": 5}, "version": version})
            assert answer.status_code == 200  # another field
            change_config(path, lambda found: {**found, "cache_ttl_seconds": 7})
            version = answer.json()["version"]
            answer = await http.post(URL, headers=TOKEN, json={"changes": {"cache_max_size": 6}, "version": version})
            assert answer.status_code == 409
            assert "Another program has changed the settings" in answer.json()["error"]
            assert (document(path)["cache_max_size"], document(path)["cache_ttl_seconds"]) == (5, 7)
            answers = await asyncio.gather(
                *(
                    http.post(URL, headers=TOKEN, json={"changes": {name: value}})
                    for name, value in (("cache_max_size", 8), ("cache_ttl_seconds", 9), ("cache_offline", "auto"))
                )
            )
            assert [each.status_code for each in answers] == [200, 200, 200]
            found = document(path)
            assert (found["cache_max_size"], found["cache_ttl_seconds"], found["cache_offline"]) == (8, 9, "auto")
            assert found["station_name"] == "renamed"
            assert (service.config.cache_max_size, service.config.cache_ttl_seconds) == (8, 9)

    asyncio.run(check())


def test_what_cannot_be_applied_is_taken_back(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*arguments: Any) -> Any:
        raise ConfigurationError("the storage said no")

    async def check() -> None:
        async with running(path, monkeypatch) as (service, http):
            before = document(path)
            with monkeypatch.context() as patch:
                patch.setattr(module, "reconfigure", failing)
                answer = await http.post(URL, headers=TOKEN, json={"changes": {"cache_max_size": 5}})
            assert answer.status_code == 409
            assert answer.json()["error"].endswith("the settings are what they were: the storage said no")
            assert document(path) == before
            assert service.config.cache_max_size == 1000

    asyncio.run(check())


@pytest.mark.parametrize("broken", ["", '{"cache_ttl_seconds": 7,', "[]"])
def test_a_broken_file_leaves_the_old_settings_at_work_and_says_what_to_do(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, broken: str
) -> None:
    async def check() -> None:
        async with running(path, monkeypatch) as (service, http):
            good = path.read_text("utf-8")
            path.write_text(broken, "utf-8")
            backup_of(path).write_text(good, "utf-8")
            assert not await service.reload()
            assert path.read_text("utf-8") == broken  # the SDK's would write the backup over it
            assert "config.json.bak is what it was" in caplog.text
            assert service.config.cache_ttl_seconds == 60
            for answer in (
                await http.get(URL, headers=TOKEN),
                await http.post(URL, headers=TOKEN, json={"changes": {"cache_max_size": 5}}),
            ):
                assert answer.status_code == 409
                assert answer.json()["error"].endswith("The service goes on with the settings it had")
            path.unlink()
            backup_of(path).unlink()
            answer = await http.get(URL, headers=TOKEN)
            assert (answer.status_code, "there is no such file" in answer.text) == (409, True)

    asyncio.run(check())


def test_a_broken_file_keeps_a_service_from_starting_and_is_left_alone(path: Path) -> None:
    backup_of(path).write_text(path.read_text("utf-8"), "utf-8")
    path.write_text('{"cache_ttl_seconds": 7,', "utf-8")
    with pytest.raises(ConfigurationError, match=r"config\.json is no JSON \(line 1, .*its backup|config.json.bak"):
        AsyncClientService("broken", path)
    assert path.read_text("utf-8") == '{"cache_ttl_seconds": 7,'


def test_a_file_with_a_byte_order_mark_is_one(path: Path) -> None:
    raw = b"\xef\xbb\xbf" + path.read_bytes()
    path.write_bytes(raw)
    backup_of(path).write_text('{"cache_ttl_seconds": 1}', "utf-8")
    assert AsyncClientService("marked", path).config.cache_ttl_seconds == 60
    assert path.read_bytes() == raw


def test_a_change_of_the_file_is_seen_even_with_an_older_date(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "WATCH_EVERY", 0.02)
    caplog.set_level("INFO")

    async def check() -> None:
        async with running(path, monkeypatch) as (service, http):
            applied, looked = asyncio.Event(), asyncio.Event()
            loop, reload, signature = asyncio.get_running_loop(), service._reload, module._signature

            def looking(path: Path) -> Any:
                loop.call_soon_threadsafe(looked.set)
                return signature(path)

            monkeypatch.setattr(module, "_signature", looking)

            async def reloading(**options: Any) -> bool:
                done: bool = await reload(**options)
                applied.set()
                return done

            service._reload = reloading
            status = path.stat()
            changed = path.with_name("changed.json")
            changed.write_text(json.dumps({**json.loads(path.read_text("utf-8")), "cache_max_size": 5}), "utf-8")
            os.utime(changed, ns=(status.st_atime_ns, status.st_mtime_ns - 10**9))
            os.replace(changed, path)
            await asyncio.wait_for(applied.wait(), 60)
            assert service.config.cache_max_size == 5
            reloads = service.reloads
            await http.post(URL, headers=TOKEN, json={"changes": {"cache_max_size": 6}})
            looked.clear()
            for _ in range(3):  # one of them began after the change
                await asyncio.wait_for(looked.wait(), 60)
                looked.clear()
            assert service.reloads == reloads + 1  # what the page applied is not applied again

    asyncio.run(check())


def test_a_named_proxy_is_answered_below_its_path_and_others_are_not(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def check() -> None:
        async with running(path, monkeypatch) as (service, http):
            named = {"Host": "Station7.example:8443"}
            for where in ("/cache", "/station7/cache", "/station7/health/ready", "/station7/cache/stats", "/metrics"):
                assert (await http.get(where, headers=named)).status_code == 200, where
                assert (await http.get(where, headers={"Host": "evil.example"})).status_code == 403, where
            answer = await http.get("/station7/cache/settings", headers={**named, **TOKEN})
            assert answer.status_code == 200
            assert (await http.get("/station8/cache")).status_code == 404
            change_config(path, lambda found: {**found, "web_hosts": ["other.example"], "web_prefix": "/station8"})
            assert await service.reload()
            assert (await http.get("/station8/cache", headers={"Host": "other.example"})).status_code == 200
            assert (await http.get("/station8/cache", headers=named)).status_code == 403
            assert (await http.get("/station7/cache")).status_code == 404

    asyncio.run(check())


def test_the_sample_names_every_field_with_its_default_and_a_comment() -> None:
    sample = json.loads(files("pywats_cache.wats.service").joinpath("sample.json").read_text("utf-8"))
    fields = {name: value for name, value in sample.items() if not name.startswith("//")}
    assert fields == ClientConfig().to_dict()
    assert {name: type(value) for name, value in fields.items()} == {
        name: type(value) for name, value in ClientConfig().to_dict().items()
    }
    assert {name for name in fields if not sample.get(f"// {name}")} == set()


def test_the_service_starts_with_the_sample_as_it_is(
    tmp_path: Path, wats: SimulatedWATS, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "config.json"
    path.write_text(files("pywats_cache.wats.service").joinpath("sample.json").read_text("utf-8"), "utf-8")
    monkeypatch.setenv("PYWATS_SERVER_URL", wats.base_url)
    monkeypatch.setenv("PYWATS_API_TOKEN", wats.token)
    monkeypatch.chdir(tmp_path)
    assert ClientConfig.load(path).validate() == []
    assert "unknown" not in caplog.text

    async def check() -> None:
        async with running(path, monkeypatch) as (_, http):
            assert (await http.get("/health/ready")).status_code == 200
            answer = await http.post(URL, headers=TOKEN, json={"changes": {"cache_ttl_seconds": 5}})
            assert answer.status_code == 200
            assert "// cache_ttl_seconds" in document(path)  # the comments stay
            assert wats.token not in path.read_text("utf-8")

    asyncio.run(check())
