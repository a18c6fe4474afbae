"""The station service in this process, and as a program with a file, scraped, reloaded and stopped by a signal."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from service_world import running

from pywats_cache import ConfigurationError, ConfigurationTypeError, MemoryStorage, SharedStorage, pyWATS
from pywats_cache.testing import SimulatedWATS
from pywats_cache.wats import AsyncClientService, ClientConfig

TOKEN = {"Authorization": "Bearer hush"}


@pytest.fixture
def path(tmp_path: Path, wats: SimulatedWATS) -> Path:
    write(tmp_path / "config.json", wats)
    return tmp_path / "config.json"


def write(path: Path, wats: SimulatedWATS, **fields: Any) -> None:
    given = {"service_address": wats.base_url, "api_token": wats.token, "cache_ttl_seconds": 60, **fields}
    ClientConfig(**given).save(path)


def test_the_probes_and_the_figures(path: Path, wats: SimulatedWATS, monkeypatch: pytest.MonkeyPatch) -> None:
    async def check() -> None:
        async with running(path, monkeypatch) as (service, http):
            assert service.url.startswith("http://127.0.0.1:")
            for _ in range(3):
                await service.api.product.get_product("PN-1000")
            await service.api.product.get_product("PN-1001")
            for probe, status in (("", "ok"), ("/live", "alive"), ("/ready", "ready")):
                answer = await http.get(f"/health{probe}")
                assert (answer.status_code, answer.json()["status"]) == (200, status)
            details = (await http.get("/health/details")).json()
            assert details["healthy"] is True
            assert details["details"]["api_connected"] is True
            assert details["details"]["cache"]["entries"] == 2
            summary = (await http.get("/metrics", headers={"Accept": "application/json"})).json()
            assert summary["http_cache"] == {
                "enabled": True, "size": 2, "max_size": 1000, "requests": 4, "hits": 2, "misses": 2,
                "hit_rate": 50.0, "evictions": 0,
            }  # fmt: skip
            assert summary["service"] == "pywats_client"
            answer = await http.get("/metrics")
            assert answer.headers["content-type"].startswith("text/plain")
            samples = {
                (s.name, frozenset(s.labels.values())): s.value
                for family in text_string_to_metric_families(answer.text)
                for s in family.samples
            }
            name = service.instance_id
            assert samples["pywats_cache_requests_total", frozenset((name, "hit"))] == 2
            assert samples["pywats_http_requests_total", frozenset(("GET", "/api/Product/{part_number}", "200"))] == 2
            assert "PN-1000" not in answer.text
            assert wats.token not in answer.text

    asyncio.run(check())


def test_without_metrics_the_statistics_are_json(
    path: Path, wats: SimulatedWATS, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(path, wats, enable_metrics=False)

    async def check() -> None:
        async with running(path, monkeypatch) as (service, http):
            answer = await http.get("/metrics")
            assert answer.headers["content-type"] == "application/json"
            assert answer.json()["http_cache"]["enabled"] is True
            write(path, wats)
            assert await service.reload()
            assert "pywats_cache_requests_total" in (await http.get("/metrics")).text

    asyncio.run(check())


def test_ready_says_why_not(tmp_path: Path, wats: SimulatedWATS, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "config.json", wats, api_token="wrong")

    async def check() -> None:
        async with running(tmp_path / "config.json", monkeypatch) as (service, http):
            answer = await http.get("/health/ready")
            assert answer.status_code == 503
            assert "not connected" in answer.json()["reason"]
            assert (await http.get("/health/live")).status_code == 200
            write(service._config_path, wats)
            assert await service.reload()
            assert (await http.get("/health/ready")).status_code == 200

    asyncio.run(check())


def test_a_changed_configuration_keeps_the_cache(
    path: Path, wats: SimulatedWATS, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def check() -> None:
        async with running(path, monkeypatch) as (service, http):
            product = service.api.product
            for number in range(4):
                await product.get_product(f"PN-{1000 + number}")
            asked = len(wats.requests)
            write(path, wats, cache_ttl_seconds=600, cache_max_size=2, cache_offline="auto")
            assert await service.reload()
            assert service.api.cache.stats.misses == 4  # the counts go on
            assert service.api.cache.stats.entries == 2
            await product.get_product("PN-1003")
            await product.get_product("PN-1002")
            assert service.api.cache.stats.hits == 2
            assert len(wats.requests) == asked + 1  # the version, and no product
            assert service.api.cache.controller.offline == "auto"
            write(path, wats, enable_cache=False)
            assert await service.reload()
            assert service.api.cache is None
            assert (await http.get("/metrics?format=json")).json()["http_cache"]["enabled"] is False
            assert "pywats_cache_entries{" not in (await http.get("/metrics")).text
            assert (await http.post("/cache/clear", headers=TOKEN)).status_code == 409
            await product.get_product("PN-1003")
            write(path, wats)
            assert await service.reload()
            assert service.api.cache.stats.entries == 0  # writes went unseen meanwhile
            await product.get_product("PN-1003")
            assert service.api.cache.stats.misses == 1

    asyncio.run(check())


def test_a_bad_configuration_changes_nothing(
    path: Path, wats: SimulatedWATS, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def check() -> None:
        async with running(path, monkeypatch) as (service, _):
            await service.api.product.get_product("PN-1000")
            write(path, wats, cache_ttl_seconds=-5)
            assert not await service.reload()
            assert "cache_ttl_seconds must be" in caplog.text
            await service.api.product.get_product("PN-1000")
            assert service.api.cache.stats.hits == 1
            path.write_text("{", "utf-8")
            for backup in path.parent.glob("*.bak"):
                backup.unlink()
            assert not await service.reload()
            path.write_text("[]", "utf-8")
            assert not await service.reload()
            assert "must be a JSON object" in caplog.text

    asyncio.run(check())
    write(path, wats, cache_max_size=0)
    with pytest.raises(ConfigurationError, match="cache_max_size must be a whole number >= 1, not 0"):
        AsyncClientService("bad", path)


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"api_token": ""}, "service_address and api_token must not be empty"),
        ({"service_address": ""}, "service_address and api_token must not be empty"),
        ({"api_token": "\N{SNOWMAN}"}, "token must be printable ASCII"),
        ({"registration_enabled": True}, "WATS_REGISTER_TOKEN"),
    ],
)
def test_credentials_that_cannot_be_used_change_nothing(
    fields: dict[str, Any],
    why: str,
    path: Path,
    wats: SimulatedWATS,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    for name in ("PYWATS_SERVER_URL", "PYWATS_API_TOKEN", "WATS_REGISTER_TOKEN"):
        monkeypatch.delenv(name, raising=False)

    async def check() -> None:
        async with running(path, monkeypatch) as (service, http):
            await service.api.product.get_product("PN-1000")
            config = service.config
            write(path, wats, cache_ttl_seconds=5, **fields)
            assert not await service.reload()
            assert why in caplog.text
            assert service.config is config
            assert await service.api.product.get_product("PN-1000")
            assert service.api.cache.stats.hits == 1
            assert await service.api.get_version()
            assert (await http.get("/health/details")).json()["details"]["cache"]["ttl_seconds"] == 60

    asyncio.run(check())


def test_of_two_reloads_at_a_time_the_newer_file_holds(
    path: Path, wats: SimulatedWATS, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def check() -> None:
        async with running(path, monkeypatch) as (service, _):
            resolving, resolved = asyncio.Event(), asyncio.Event()
            resolve = service._credentials_now

            async def slow() -> tuple[str, str]:
                found: tuple[str, str] = await resolve()
                resolving.set()
                await resolved.wait()
                return found

            monkeypatch.setattr(service, "_credentials_now", slow)
            write(path, wats, cache_ttl_seconds=5)
            older = asyncio.create_task(service.reload())
            await resolving.wait()
            monkeypatch.undo()
            write(path, wats, cache_ttl_seconds=7)
            newer = asyncio.create_task(service.reload())
            await asyncio.sleep(0)  # its first step
            resolved.set()
            assert await older
            assert await newer
            assert (service.config.cache_ttl_seconds, service.api.cache.controller.ttl) == (7, 7)

    asyncio.run(check())


def test_a_retry_over_a_reload_stays_at_the_server_it_began_with(
    path: Path, wats: SimulatedWATS, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its credentials are for that one."""

    async def check(other: SimulatedWATS) -> None:
        async with running(path, monkeypatch) as (service, _):
            wats.fail("GET", "/api/Product/*", retry_after=0)
            gate = wats.hold("GET", "/api/Product/*")
            call = asyncio.create_task(service.api.product.get_product("PN-1000"))
            await asyncio.to_thread(gate.arrived.wait, 20)
            write(path, other)
            assert await service.reload()
            gate.release()
            assert await call
            assert wats.count("GET", "/api/Product/*") == 2
            assert other.count("GET", "/api/Product/*") == 0

    with SimulatedWATS() as other:
        asyncio.run(check(other))


@pytest.mark.parametrize(
    ("before", "after"),
    [({"enable_cache": False}, {}), ({}, {"cache_storage_url": "sqlite:///{}"}), ({}, {"cache_ttl_seconds": 50})],
    ids=["off and on", "another storage", "the same storage"],
)
def test_a_write_over_a_reload_dirties_the_cache_of_now(
    before: dict[str, Any], after: dict[str, Any], path: Path, wats: SimulatedWATS, monkeypatch: pytest.MonkeyPatch
) -> None:
    after = {
        name: value.format(path.with_name("cache.db")) if name == "cache_storage_url" else value
        for name, value in after.items()
    }
    write(path, wats, **before)

    async def check() -> None:
        async with running(path, monkeypatch) as (service, _):
            products = service.api.product
            product = await products.get_product("PN-1000")
            product.name = "New"
            gate = wats.hold("PUT", "/api/Product")
            call = asyncio.create_task(products.update_product(product))
            await asyncio.to_thread(gate.arrived.wait, 20)
            write(path, wats, **after)
            assert await service.reload()
            await products.get_product("PN-1000")
            gate.release()
            await call
            assert (await products.get_product("PN-1000")).name == "New"

    asyncio.run(check())


def test_connections_of_before_a_reload_are_closed(
    path: Path, wats: SimulatedWATS, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pywats_cache.wats.service import service as module

    monkeypatch.setattr(module, "LEFT_OPEN", 0.0)

    async def check() -> None:
        async with running(path, monkeypatch) as (service, _):
            left = service.api.http_client._client
            assert await service.reload()
            await asyncio.gather(*service._leaving)
            assert left.is_closed
            assert not service._leaving

    asyncio.run(check())


def test_a_service_that_started_without_credentials_is_not_ready_with_them(
    tmp_path: Path, wats: SimulatedWATS, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The vendor's service starts its queue of reports and its converters at its own start only."""
    for name in ("PYWATS_SERVER_URL", "PYWATS_API_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    write(tmp_path / "config.json", wats, api_token="")

    async def check() -> None:
        async with running(tmp_path / "config.json", monkeypatch) as (service, http):
            assert service.api is None
            write(tmp_path / "config.json", wats)
            assert await service.reload()
            assert service.api_status == "Online"
            answer = await http.get("/health/ready")
            assert answer.status_code == 503
            assert "wait for the next start" in answer.json()["reason"]
            assert answer.json()["reason"] in caplog.text

    asyncio.run(check())


def test_answers_can_be_kept_in_a_database(
    path: Path, wats: SimulatedWATS, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"sqlite:///{(tmp_path / 'cache.db').as_posix()}"
    write(path, wats, cache_storage_url=url, cache_max_size=1)

    async def check() -> None:
        async with running(path, monkeypatch) as (service, http):
            for number in (1000, 1001, 1000):
                await service.api.product.get_product(f"PN-{number}")
            storage = service.api.cache.storage
            assert isinstance(storage, SharedStorage)
            assert (service.api.cache.stats.tier_hits, storage.memory.max_entries) == (1, 1)
            assert (await http.get("/health/details")).json()["details"]["cache"]["storage"] == "sqlite"
            with pyWATS(base_url=wats.base_url, token=wats.token, cache_storage=url) as script:
                script.product.get_product("PN-1000")
                assert script.cache.stats.hits == 1
                script.cache.invalidate("/api/Product")
            await service.api.product.get_product("PN-1000")
            assert service.api.cache.stats.misses == 3
            write(path, wats, cache_storage_url=url, cache_max_size=5)
            assert await service.reload()
            assert service.api.cache.storage is storage
            assert storage.memory.max_entries == 5
            write(path, wats)
            assert await service.reload()
            assert isinstance(service.api.cache.storage, MemoryStorage)
        assert storage._records._file._connection is None

    asyncio.run(check())


def test_changes_need_the_token_and_the_own_site(
    path: Path, wats: SimulatedWATS, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def check() -> None:
        async with running(path, monkeypatch) as (service, http):
            await service.api.product.get_product("PN-1000")
            entries = (await http.get("/cache/entries")).json()
            assert entries["entries"][0]["path"].endswith("/api/product/pn-1000")
            assert (await http.get("/cache/entries", headers={"Host": "evil.example"})).status_code == 403
            for headers in ({}, {"Authorization": "Bearer no"}, {**TOKEN, "Sec-Fetch-Site": "cross-site"}):
                answer = await http.post("/cache/invalidate", json={"path": "/api/Product"}, headers=headers)
                assert answer.status_code == 403, headers
            assert (await http.get("/cache/clear", headers=TOKEN)).status_code == 405
            assert (await http.post("/cache/invalidate", json={"path": "x"}, headers=TOKEN)).status_code == 400
            explained = await http.get("/cache/explain", params={"url": "/api/Product/PN-1000"})
            assert explained.json()["status"] == "hit"
            answer = await http.post("/cache/invalidate", json={"path": "/api/Product"}, headers=TOKEN)
            assert answer.status_code == 200
            explained = await http.get("/cache/explain", params={"url": "/api/Product/PN-1000"})
            assert explained.json()["reason"] == "dirtied"
            warmed = await http.post("/cache/warm", json={"urls": ["/api/Product/PN-1000"]}, headers=TOKEN)
            assert warmed.json() == {"total": 1, "fetched": 1, "fresh": 0, "failed": 0}
            assert (await http.post("/cache/clear", headers=TOKEN)).json() == {"cleared": 1}

    asyncio.run(check())


def test_a_service_that_waits_for_the_server_can_be_stopped(path: Path, wats: SimulatedWATS) -> None:
    async def check() -> None:
        service = AsyncClientService(f"test-{os.getpid()}", path, health_port=0)
        with wats.hold("GET", "/api/App/Version") as gate:
            running = asyncio.create_task(service.run())
            await asyncio.to_thread(gate.arrived.wait, 20)
            service.request_shutdown()
            stopped, _ = await asyncio.wait({running}, timeout=20)
            assert stopped
        assert service.status.value == "Stopped"

    asyncio.run(check())


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_program_is_scraped_reloaded_and_stopped(path: Path, wats: SimulatedWATS, number: int) -> None:
    environment = {name: text for name, text in os.environ.items() if name not in ("DISPLAY", "WAYLAND_DISPLAY")}
    command = [sys.executable, "-m", "pywats_cache.wats.service", "--config", str(path), "--port", "0"]
    command += ["--instance", f"program-{os.getpid()}"]
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    lines: list[str] = []

    def seen(pattern: str) -> re.Match[str]:
        for line in process.stderr:  # type: ignore[union-attr]
            lines.append(line)
            found = re.search(pattern, line)
            if found:
                return found
        raise AssertionError("".join(lines))

    try:
        url = seen(r"listening on (http://127\.0\.0\.1:\d+)")[1]
        seen("Service status: .* -> Running")
        with httpx.Client(base_url=url) as http:
            assert http.get("/health/ready").status_code == 200
            assert 'pywats_cache_requests_total{client="program-' in http.get("/metrics").text
            assert http.post("/cache/clear").status_code == 403
            document = json.loads(path.read_text("utf-8"))
            path.write_text(json.dumps({**document, "cache_ttl_seconds": 7, "cache_max_size": 3}), "utf-8")
            process.send_signal(signal.SIGHUP)
            seen("the configuration was applied")
            cache = http.get("/health/details").json()["details"]["cache"]
            assert (cache["ttl_seconds"], cache["max_size"]) == (7, 3)
            assert http.get("/metrics?format=json").json()["http_cache"]["max_size"] == 3
        process.send_signal(number)
        rest = process.communicate(timeout=30)[1]
        assert process.returncode == 0, rest
        assert "stopped successfully" in rest
        assert wats.token not in "".join(lines) + rest
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate(timeout=30)


@pytest.mark.parametrize(
    ("fields", "arguments", "environment", "why"),
    [
        ({"cache_ttl_seconds": "abc"}, (), {}, "cache_ttl_seconds must be a number of seconds"),
        ({}, ("--port", "70000"), {}, "health_port must be a port from 0 (any that is free) to 65535, not 70000"),
        ({}, (), {"PYWATS_HEALTH_PORT": "abc"}, "PYWATS_HEALTH_PORT must be a port"),
        ({}, ("--log-level", "loud"), {}, "must be a level such as INFO or DEBUG, not 'loud'"),
        ({"reports_folder": os.devnull + "/reports"}, ("--port", "0"), {}, "the service cannot start"),
    ],
)
def test_a_program_that_cannot_start_says_why(
    fields: dict[str, Any], arguments: tuple[str, ...], environment: dict[str, str], why: str, path: Path, wats: Any
) -> None:
    write(path, wats, **fields)
    command = [sys.executable, "-m", "pywats_cache.wats.service", "--config", str(path), *arguments]
    result = subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, timeout=60, check=False
    )
    assert result.returncode == 2
    assert why in result.stderr


def test_a_file_that_is_no_object_is_refused(path: Path) -> None:
    path.write_text("[]", "utf-8")
    with pytest.raises(ConfigurationTypeError, match="the configuration must be a JSON object, not a list"):
        AsyncClientService("bad", path)
