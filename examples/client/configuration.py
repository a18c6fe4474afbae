"""Every way to configure the cache: constructors, storage URLs, the environment, one request, the station's file.

Each setting is checked when the object is made; the last part shows what the errors say.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pywats_cache import (
    Bypass,
    CacheClient,
    CacheTransport,
    CachingError,
    Controller,
    MemoryStorage,
    Read,
    Write,
    pyWATS,
)
from pywats_cache.testing import SimulatedWATS
from pywats_cache.wats import wats_controller

PRODUCT = "/api/Product/PN-1000"
KEY_VARIABLE = "PYWATS_CACHE_DIGEST_KEY"


def heading(text: str) -> None:
    print(f"\n{text}\n  {'':<50} {'product':>8} {'statistics':>11} {'entries':>8}  storage")


def row(what: str, cache: Any) -> None:
    """How long two kinds of answers are kept under these settings, how many, and where."""
    if cache is None:
        print(f"  {what:<50} {'-':>8} {'-':>11} {'-':>8}  none: api.cache is None")
        return
    routes = (("GET", PRODUCT), ("POST", "/api/App/DynamicYield"))
    decisions = [cache.controller.decide(*route) for route in routes]
    product, statistics = (f"{one.ttl:.0f} s" if one.kind == "read" else "not kept" for one in decisions)
    storage = cache.storage
    most = getattr(storage, "max_entries", None) or storage.memory.max_entries
    print(f"  {what:<50} {product:>8} {statistics:>11} {most:>8}  {type(storage).__name__}")


def of_pywats(server: SimulatedWATS, folder: Path) -> None:
    heading("1. pyWATS and AsyncWATS: the vendor's arguments, and these")
    url = f"sqlite:///{(folder / 'station.db').as_posix()}"
    given: dict[str, dict[str, Any]] = {
        "(defaults)": {},
        "cache_ttl=30, cache_max_size=50": {"cache_ttl": 30, "cache_max_size": 50},
        "cache_ttl_seconds=30, another name of it": {"cache_ttl_seconds": 30},
        "cache_storage='sqlite:///…', shared by processes": {"cache_storage": url},
        "cache_controller=wats_controller(…, offline='auto')": {
            "cache_controller": wats_controller(3600, offline="auto", jitter=0.1)
        },
        "cache_transport=CacheTransport(…)": {"cache_transport": CacheTransport(controller=Controller(ttl=5.0))},
        "enable_cache=False": {"enable_cache": False},
    }
    for what, settings in given.items():
        with pyWATS(base_url=server.base_url, token=server.token, **settings) as api:
            row(what, api.cache)


def of_any_client(server: SimulatedWATS, folder: Path) -> None:
    heading("2. CacheClient, or CacheTransport on a client of yours: a Controller and a storage")
    rules = [
        Read("/api/Product/{part_number}", ttl=1800.0, tags=("product",)),
        Read("/api/App/DynamicYield", ttl=60.0, methods=("POST",)),  # a POST that only reads
        Write("/api/Product", dirties=("product",)),
        Bypass("/api/Production/**"),
    ]
    given: dict[str, dict[str, Any]] = {
        "(defaults: every GET for 300 s)": {},
        "controller=Controller(ttl=60)": {"controller": Controller(ttl=60.0)},
        "controller=Controller(rules)": {"controller": Controller(rules)},
        "Controller(rules, unmatched='bypass')": {"controller": Controller(rules[2:], unmatched="bypass")},
        "storage=MemoryStorage(max_entries=20)": {"storage": MemoryStorage(max_entries=20, max_bytes=8 << 20)},
        "storage='memory://?max_entries=20'": {"storage": "memory://?max_entries=20"},
        "storage='sqlite:///…?max_entries=5000'": {
            "storage": f"sqlite:///{(folder / 'shared.db').as_posix()}?max_entries=5000"
        },
    }
    for what, settings in given.items():
        with CacheClient(base_url=server.base_url, **settings) as client:
            row(what, client.cache)
    print("  Statistics are queried by POST, which counts as a write unless a rule says that it only reads.")


def of_the_environment() -> None:
    print("\n3. The environment: the digest key for redis://, a secret that all machines share, never stands in a URL")
    kept = os.environ.pop(KEY_VARIABLE, None)
    for what, value in (("not set", None), ("'short'", "short"), ("32 characters", "0123456789abcdef" * 2)):
        if value is not None:
            os.environ[KEY_VARIABLE] = value
        print(f"  {KEY_VARIABLE} {what}")
        try:
            # Nobody has to listen there: a server that is away costs no request, now or later.
            CacheTransport(storage="redis://127.0.0.1:1/0?max_lag=0.5").close()
            print("    accepted")
        except CachingError as error:
            print(f"    {type(error).__name__}: {error}")
    os.environ.pop(KEY_VARIABLE, None)
    if kept is not None:
        os.environ[KEY_VARIABLE] = kept


def of_one_request(server: SimulatedWATS) -> None:
    print("\n4. One request: extensions={'pywats_cache': {…}}")
    headers = {"Authorization": f"Basic {server.token}"}
    with CacheClient(base_url=server.base_url, headers=headers) as client:
        client.get(PRODUCT)
        for directives in (
            {},
            {"refresh": True},
            {"bypass": True},
            {"ttl": 5.0, "key": "mine"},
            {"only_if_cached": True},
        ):
            outcome = client.get(PRODUCT, extensions={"pywats_cache": directives}).extensions["pywats_cache"]
            kept = "not kept" if outcome.ttl is None else f"kept {outcome.ttl:.0f} s"
            print(f"  {directives!s:<50} {outcome.status:<7} {outcome.reason:<14} {kept}")


def of_the_station(server: SimulatedWATS, folder: Path) -> None:
    file = folder / "config.json"
    fields = {"enable_cache": True, "cache_ttl_seconds": 600.0, "cache_max_size": 200}
    file.write_text(json.dumps({"schema_version": "2.0", "station_name": "Line 1", **fields}), encoding="utf-8")
    # The fields are arguments of pyWATS by the same names, so a script can follow the file of its station.
    read = json.loads(file.read_text(encoding="utf-8"))
    given = {name: read[name] for name in ("enable_cache", "cache_ttl_seconds", "cache_max_size")}
    heading("5. The station's file, the SDK's config.json: its cache fields, for a script and for the service")
    with pyWATS(base_url=server.base_url, token=server.token, **given) as api:
        row("pyWATS(**fields)", api.cache)
    try:
        from pywats_cache.wats import ClientConfig
    except ImportError as error:  # the SDK's own configuration module imports Qt
        print(f"  ClientConfig, which the service uses, needs the extra 'service': no {error.name} here")
        return
    config = ClientConfig.load(file)
    print(
        f"  ClientConfig.load(): cache_ttl_seconds={config.cache_ttl_seconds:g}, cache_max_size={config.cache_max_size}"
    )
    try:
        config["cache_max_size"] = 0
    except CachingError as error:
        print(f"  config['cache_max_size'] = 0: {error}")
    config.cache_ttl_seconds = -5.0
    print(f"  validate() of -5: {'; '.join(config.cache_problems().values())}")
    config.repair()
    print(f"  after repair(): cache_ttl_seconds={config.cache_ttl_seconds:g}")


def of_mistakes(server: SimulatedWATS) -> None:
    print("\n6. Mistakes: the parameter, its value, what is allowed")
    who = {"base_url": server.base_url, "token": server.token}
    mistakes: list[Callable[[], object]] = [
        lambda: pyWATS(**who, cache_ttl=-5),
        lambda: pyWATS(**who, cache_max_size=0),
        lambda: pyWATS(**who, enable_cache="no"),
        lambda: pyWATS(**who, cache_ttl=60, cache_ttl_seconds=60),
        lambda: pyWATS(**who, cache_controller=Controller(), cache_ttl=60),
        lambda: CacheClient(storage="postgres://user:password@host/cache"),
        lambda: CacheClient(storage="memory://?max_entires=5"),
        lambda: Controller([Read("api/Product")]),
        lambda: Controller(jitter=1.5),
        lambda: Controller(offline="sometimes"),
        lambda: CacheClient().get("http://127.0.0.1:1/", extensions={"pywats_cache": {"refesh": True}}),
    ]
    for mistake in mistakes:
        try:
            mistake()
        except CachingError as error:
            kind = "ValueError" if isinstance(error, ValueError) else "TypeError"
            print(f"  {kind + ':':<11} {error}")
        else:
            raise AssertionError("a mistake went unnoticed")


def main() -> None:
    """Show all of them."""
    logging.basicConfig(format="    log: %(message)s", stream=sys.stdout)
    logging.getLogger("pywats").setLevel(logging.ERROR)  # the SDK warns about http:// on loopback
    with SimulatedWATS() as server, tempfile.TemporaryDirectory() as folder:
        of_pywats(server, Path(folder))
        of_any_client(server, Path(folder))
        of_the_environment()
        of_one_request(server)
        of_the_station(server, Path(folder))
        of_mistakes(server)


if __name__ == "__main__":
    main()
