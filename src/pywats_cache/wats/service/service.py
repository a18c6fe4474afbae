"""The SDK's station service with the cache mounted, and an HTTP face that works (extra `service`).

```
python -m pywats_cache.wats.service --config /etc/pywats/config.json --port 8080
```
It is the vendor's service with another client below it and another server beside it; nothing installed is changed, and
it needs no display.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import math
import os
import signal
import sys
import tempfile
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from ...errors import CachingError, ConfigurationError
from ...support.showing import printable, shown, shown_path, without_arguments
from ...web import Guard, Listener, Subject, build_app
from ...web.guard import allowed_hosts
from ...web.prefix import Prefixed
from ..clients import AsyncWATS
from .config import ClientConfig
from .health import WITHOUT_QUEUE, ServiceState, health, summary
from .metrics import ServiceMetrics
from .reload import CacheSettings, reconfigure
from .settings import StationSettings

if TYPE_CHECKING:
    # It ships no py.typed, so mypy sees nothing of it; pyright reads the source.
    from pywats_client.service.async_client_service import (  # type: ignore[import-untyped]
        AsyncClientService as _Vendor,
    )
else:
    _Vendor = import_module("pywats_client.service.async_client_service").AsyncClientService

__all__ = ["AsyncClientService", "main", "run_service"]

logger: logging.Logger = logging.getLogger("pywats_cache.wats.service")

TOKEN_VARIABLE = "PYWATS_CACHE_TOKEN"  # noqa: S105 - the name of a variable
HOST_VARIABLE = "PYWATS_HEALTH_HOST"
PORT_VARIABLE = "PYWATS_HEALTH_PORT"
WATCH_EVERY = 5.0
"""Seconds between two looks at the file."""
LEFT_OPEN = 300.0
"""Seconds for which the connections of before a reload stay open: longer than a call takes with all its retries."""


class AsyncClientService(_Vendor):  # type: ignore[misc]
    """The vendor's `AsyncClientService` over our `AsyncWATS`. For one event loop, as the vendor's.

    ```python
    asyncio.run(AsyncClientService(config_path=Path("config.json")).run())
    ```
    - `config_path`: the file; None takes that of the instance, and makes it if it is not there.
    - `health_host`, `health_port`: where it listens: loopback and 8080 unless told otherwise (`PYWATS_HEALTH_HOST`,
      `PYWATS_HEALTH_PORT`); port 0 takes any that is free, and `url` says which.
    - `PYWATS_CACHE_TOKEN` in the environment: what a request that changes something must bring; without it changes
      are off.

    It answers `/health`, `/health/live`, `/health/ready`, `/health/details`, `/metrics` (Prometheus text; JSON if
    the request accepts `application/json` or says `?format=json`, or with `enable_metrics` off) and `/cache/…`, also
    below `web_prefix`. `/` leads to the page.

    A changed file is applied within five seconds, or at once by `reload()`; what is stored stays where it still holds.
    A file that is broken or has a bad cache field is refused, at the start with ConfigurationError, later with a line
    in the log; so are a port that is none, and a reload that leaves no address or token.
    """

    def __init__(
        self,
        instance_id: str = "default",
        config_path: Path | None = None,
        *,
        health_host: str | None = None,
        health_port: int | None = None,
    ) -> None:
        # Before the vendor's part, which reads the file and the port too, and raises whatever comes of it.
        port = _checked_port(health_port)
        signature = _signature(config_path) if config_path is not None else None
        config = ClientConfig.load_for_instance(instance_id) if config_path is None else ClientConfig.load(config_path)
        settings = CacheSettings(config)
        with tempfile.TemporaryDirectory() as folder:
            # The vendor's part would put the backup in the place of a file that it cannot read: it gets an empty one.
            empty = Path(folder) / "config.json"
            empty.write_text("{}", "utf-8")
            super().__init__(instance_id, empty)
        self.api: AsyncWATS | None
        self.config: ClientConfig = config
        self._metrics_collector: ServiceMetrics | None = None
        self._health_server: Listener | None = None
        self._config_path = Path(config.config_path)
        self._settings = settings
        self._health_host = health_host or os.environ.get(HOST_VARIABLE) or "127.0.0.1"
        self._health_port = port
        self._leaving: set[asyncio.Task[None]] = set()
        self._failure: Exception | None = None
        self._guard = Guard(None, os.environ.get(TOKEN_VARIABLE))
        self._refusal = ""
        self._applied: object = signature or _signature(self._config_path)
        self._starting: asyncio.Task[Any] | None = None
        self._reloading = asyncio.Lock()
        self.reloads: int = 0
        """How often a changed configuration was applied."""

    @property
    def url(self) -> str | None:
        """Where it listens; None before it does."""
        return self._health_server.url if self._health_server else None

    async def start(self) -> None:
        """Start as the vendor's does."""
        self._failure = None
        try:
            await super().start()
        except Exception as error:
            self._failure = error
            raise
        finally:
            self._starting = None

    async def run(self) -> None:
        """Run until it is told to stop. Raises what kept it from starting, which the vendor's only logs."""
        self._starting = asyncio.current_task()
        await super().run()
        if self._failure is not None:
            raise self._failure

    def request_shutdown(self) -> None:
        """End `run`, also while it still waits for the server, which may take minutes."""
        super().request_shutdown()
        if self._starting is not None:
            self._starting.cancel()

    async def _initialize_api(self) -> None:
        logger.info("connecting to the server")
        try:
            if self.config.enable_metrics:
                self._start_metrics()
            address, token = await self._credentials_now()
            self.api = AsyncWATS(
                base_url=address,
                token=token,
                instance_id=self.instance_id,
                **self._settings.arguments(address),
            )
            self._wire_metrics()
            await self.api.__aenter__()
            await self._check_server()
            if self.config.registration_enabled and self._credentials is not None:
                await self._fetch_server_info()
                await self._send_client_update(status="Online")
        except Exception as error:
            # As the vendor's: the service runs on, so that the configuration can be mended.
            logger.exception("connecting to the server failed: %s", type(error).__name__)
            self._stats["api_status"] = "Error"

    async def _credentials_now(self) -> tuple[str, str]:
        if self.config.registration_enabled:
            registered: tuple[str, str] = await self._resolve_registration_credentials()
            return registered
        address, token = self.config.get_runtime_credentials()
        return address, token

    async def _check_server(self) -> None:
        assert self.api is not None
        version = await self.api.get_version()
        self._stats["api_status"] = "Online"
        logger.info("connected to a WATS server of version %s", version)

    def _start_metrics(self) -> None:
        if self._metrics_collector is None:
            collector = import_module("pywats.core.metrics").MetricsCollector()
            if collector.enabled:
                self._metrics_collector = ServiceMetrics(collector)
            else:
                logger.warning("enable_metrics needs prometheus-client: pip install 'pywats-cache[service]'")

    def _wire_metrics(self) -> None:
        """Let the HTTP client count into the collector, and the collector show the cache."""
        if self._metrics_collector is None or self.api is None:
            return
        self.api._http_client._metrics_collector = self._metrics_collector
        self._metrics_collector.watch(self.api, self.instance_id)

    # ── reload ────────────────────────────────────────────────────────────────────────────────────────────────────

    async def reload(self, *, check: bool = True) -> bool:
        """Apply the file as it is now. False if it cannot be; then everything goes on as it was.

        - `check`: ask the server whether it can be reached, which takes long where it cannot.
        """
        return await self._reload(check=check)

    async def _reload(self, *, check: bool = True, seen: object = None) -> bool:
        """The same, unless the file `seen` was applied since: page and watcher both see what the page has written."""
        async with self._reloading:  # or an older file could be applied after a newer one
            if seen is not None and seen == self._applied:
                return True
            connects = self.api is None
            if not await self._apply():
                return False
        if check and not connects:
            try:
                await self._check_server()
            except Exception as error:  # noqa: BLE001 - whatever it is, the server cannot be used
                logger.warning("the server does not answer: %s", type(error).__name__)
                self._stats["api_status"] = "Error"
        if self._converter_pool:
            await self._converter_pool.reload_config(self.config)
        self.reloads += 1
        logger.info("the configuration was applied")
        return True

    async def _apply(self) -> bool:
        before = self.config
        try:
            signature = _signature(self._config_path)
            config = ClientConfig.load(self._config_path)
            settings = CacheSettings(config)
            self.config = config
            if self.api is None:
                self._settings = settings
                await self._initialize_api()
                if self.api is not None:
                    logger.warning("%s", WITHOUT_QUEUE)
            else:
                await self._change(self.api, settings)
            self._applied = signature
        except Exception as error:  # noqa: BLE001 - whatever it is, the service runs on
            self.config = before
            self._refusal = printable(_why(error))
            logger.error("the configuration was not applied: %s", self._refusal)
            return False
        self._open_page()
        return True

    def _open_page(self) -> None:
        """Let the page answer to the names that the configuration has now."""
        self._guard.hosts = allowed_hosts(self._health_host, self.config.web_hosts)

    async def _change(self, api: AsyncWATS, settings: CacheSettings) -> None:
        """Let `api` go on with the configuration of now."""
        address, token = await self._credentials_now()
        if not address or not token:
            raise ConfigurationError("service_address and api_token must not be empty")
        left = reconfigure(api, address, token, settings, self._settings)
        self._settings = settings
        if left is not None:
            task = asyncio.create_task(_closed_later(left))
            self._leaving.add(task)
            task.add_done_callback(self._leaving.discard)
        if self.config.enable_metrics:
            self._start_metrics()
        self._wire_metrics()

    async def _config_watch_loop(self) -> None:
        """Apply each change of the file, also one within the same tick of the clock, or to an older date."""
        seen = self._applied
        while not self._shutdown_event.is_set():
            try:
                await asyncio.wait_for(self._shutdown_event.wait(), WATCH_EVERY)
            except asyncio.TimeoutError:
                now = await asyncio.to_thread(_signature, self._config_path)
                if now not in (seen, None) and now != self._applied:
                    logger.info("the configuration file has changed")
                    try:
                        await self._reload(seen=now)
                    except Exception:  # of a part of the SDK that gets it; the next change is looked for all the same
                        logger.exception("applying the configuration failed")
                seen = now

    async def _reload_config(self) -> None:
        await self.reload()

    async def stop(self) -> None:
        """Stop as the vendor's does, and close the connections of before each reload."""
        await super().stop()
        leaving = list(self._leaving)
        for task in leaving:
            task.cancel()
        await asyncio.gather(*leaving, return_exceptions=True)

    # ── HTTP ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def _state(self) -> ServiceState:
        settings = self._settings
        return ServiceState(
            status=self._status.value,
            is_running=self.is_running,
            has_queue=self._pending_queue is not None,
            api_status=self._stats.get("api_status", "Unknown"),
            has_api=self.api is not None,
            uptime=self._get_uptime_seconds(),
            instance=self.instance_id,
            reloads=self.reloads,
            cache=self.api.cache if self.api is not None else None,
            settings={
                "ttl_seconds": settings.ttl if math.isfinite(settings.ttl) else None,
                "max_size": settings.size,
                "storage": settings.url.partition(":")[0] or "memory",
                "offline": settings.offline,
            },
        )

    async def _start_health_server(self) -> None:
        self._open_page()
        cache = build_app(
            lambda: Subject(self.api, self.instance_id) if self.api is not None else None,
            self._guard,
            health=lambda: health(self._state()),
            summary=lambda: summary(self._converter_pool),
            exposition=self._exposition,
            settings=StationSettings(self._config_path, self._apply_settings),
        )
        app = Prefixed(cache, lambda: self.config.web_prefix)
        try:
            self._health_server = Listener(app, self._health_port, self._health_host)
        except (OSError, UnicodeError) as error:  # the latter for what is no name of a host
            why = getattr(error, "strerror", None) or "it is no address"
            logger.warning("not listening on %s, port %s: %s", shown(self._health_host), self._health_port, why)
            return
        self._health_server.start()
        logger.info("listening on %s", self._health_server.url)

    async def _stop_health_server(self) -> None:
        server, self._health_server = self._health_server, None
        if server is not None:
            await server.stop()

    async def _apply_settings(self) -> str | None:
        """Apply the file now. None, or why it cannot be."""
        seen = await asyncio.to_thread(_signature, self._config_path)
        return None if await self._reload(check=False, seen=seen) else self._refusal

    def _exposition(self) -> bytes | None:
        if self._metrics_collector is None or not self.config.enable_metrics:
            return None
        text: bytes = self._metrics_collector.text()
        return text


def _signature(path: Path) -> tuple[int, int, int] | None:
    """What differs once the file has changed; None: there is none."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


def _why(error: Exception) -> str:
    if isinstance(error, OSError):
        return f"{shown_path(error.filename, 'the file')}: {error.strerror}"
    return str(error)


def _checked_port(given: int | None) -> int:
    """The port to listen on. Raises ConfigurationError."""
    name, value = (
        ("health_port", given) if given is not None else (PORT_VARIABLE, os.environ.get(PORT_VARIABLE, "8080"))
    )
    try:
        port = int(value)
    except ValueError:
        port = -1
    if not 0 <= port <= 65535:
        raise ConfigurationError(f"{name} must be a port from 0 (any that is free) to 65535, not {shown(value)}")
    return port


async def _closed_later(client: Any) -> None:
    """Close a client that no new call takes, once those under way are over, or at once when cancelled."""
    try:
        await asyncio.sleep(LEFT_OPEN)
    finally:
        await client.aclose()


def _level(name: str) -> str:
    if not isinstance(logging.getLevelName(name.upper()), int):
        raise argparse.ArgumentTypeError(f"must be a level such as INFO or DEBUG, not {shown(name)}")
    return name.upper()


class _Parser(argparse.ArgumentParser):
    """Its complaints repeat nothing of an argument that may be a secret."""

    _arguments: tuple[str, ...] = ()

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As argparse's."""
        self._arguments = tuple(sys.argv[1:] if args is None else args)
        return super().parse_known_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        """As argparse's."""
        super().error(printable(without_arguments(message, self._arguments), lines=True))


def run_service(config_path: Path | None = None, instance_id: str = "default", **options: Any) -> None:
    """Run a service until SIGINT, SIGTERM or SIGBREAK; SIGHUP, where there is one, reloads the configuration."""

    async def run() -> None:
        service = AsyncClientService(instance_id, config_path, **options)
        reloading: set[asyncio.Task[bool]] = set()

        def reload() -> None:
            task = asyncio.get_running_loop().create_task(service.reload())
            reloading.add(task)
            task.add_done_callback(reloading.discard)

        _on_signal("SIGINT", service.request_shutdown)
        _on_signal("SIGTERM", service.request_shutdown)
        _on_signal("SIGBREAK", service.request_shutdown)  # Ctrl+Break under Windows, and a console that is closed
        _on_signal("SIGHUP", reload)
        await service.run()

    asyncio.run(run())


def _on_signal(name: str, call: Callable[[], object]) -> None:
    number = getattr(signal, name, None)
    if number is None:
        return
    loop = asyncio.get_running_loop()
    try:
        loop.add_signal_handler(number, call)
    except (NotImplementedError, RuntimeError):  # Windows
        signal.signal(number, lambda *_: loop.call_soon_threadsafe(call))


def main(arguments: list[str] | None = None) -> int:
    """Run the service from the command line. Returns the exit code: 2 for a configuration that cannot be used."""
    parser = _Parser(prog="python -m pywats_cache.wats.service", description=__doc__)
    parser.add_argument("--config", type=Path, help="the configuration file")
    parser.add_argument("--instance", default="default", help="the instance (default: %(default)s)")
    parser.add_argument("--host", help="the address to listen on (default: 127.0.0.1)")
    parser.add_argument("--port", type=int, help="the port to listen on (default: 8080; 0: any that is free)")
    parser.add_argument("--log-level", type=_level, default="INFO", help="(default: %(default)s)")
    given = parser.parse_args(arguments)
    logging.basicConfig(level=given.log_level, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        run_service(given.config, given.instance, health_host=given.host, health_port=given.port)
    except (CachingError, OSError) as error:
        print(f"the service cannot start: {printable(_why(error))}", file=sys.stderr)
        return 2
    return 0
