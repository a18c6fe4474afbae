"""Commands that need no running service: simulate, serve, demo."""

from __future__ import annotations

import math
import re
import secrets
import signal
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import track

from ..diagnostics.simulate import Outcome, Setting, read_trace
from ..diagnostics.simulate import simulate as replay
from ..errors import CachingError
from ..storage.eviction import POLICIES
from ..support.durations import seconds_of
from ..support.showing import shown
from .loading import load
from .output import FOUND, USAGE, AsJson, as_document, count, fail, say, seconds, size, table

__all__ = ["demo", "serve", "simulate"]

_POWERS = {"": 0, "k": 1, "m": 2, "g": 3}


def simulate(
    trace: Annotated[Path, typer.Argument(help="A trace recorded with CacheTransport(record=…).")],
    entries: Annotated[str, typer.Option(help="Values of max_entries to try.")] = "100,300,1000,3000,10000",
    memory: Annotated[str, typer.Option(help="Values of max_bytes to try: 16M,64M.")] = "64M",
    ttl: Annotated[
        str, typer.Option(help="TTLs to try: seconds, or 90s, 5m, 2h, 1d; `recorded`: as it was.")
    ] = "recorded",
    policy: Annotated[str, typer.Option(help="Eviction policies to try.")] = ",".join(POLICIES),
    as_json: AsJson = False,
) -> None:
    """Replay a recorded trace with other sizes, TTLs and policies and show the hit rate of each."""
    policies = [part.strip() for part in policy.split(",")]
    if unknown := [name for name in policies if name not in POLICIES]:
        fail(f"--policy must be names separated by commas, of {', '.join(POLICIES)}, not {shown(unknown[0])}", USAGE)
    settings = [
        Setting(int(most), int(room), fresh, name)
        for most in _numbers("--entries", entries, least=1)
        for room in _numbers("--memory", memory, least=1, kilo=1024)
        for fresh in _durations("--ttl", ttl, word="recorded")
        for name in policies
    ]
    try:
        events = read_trace(trace)
    except OSError as error:
        fail(f"{shown(str(trace))} cannot be read: {error.strerror}", USAGE)
    except CachingError as error:
        fail(str(error), USAGE)
    found = list(
        track(
            replay(events, settings),
            "replaying",
            total=len(settings),
            transient=True,
            disable=as_json or not sys.stderr.isatty(),
        )
    )
    if not found or not found[0].requests:
        fail(f"{shown(str(trace))} holds no cacheable request", USAGE)
    best = _best(found)
    documents = [{**asdict(outcome), "hit_rate": outcome.hit_rate, "best": outcome is best} for outcome in found]
    rows = (
        (
            count(o.setting.max_entries),
            size(o.setting.max_bytes),
            "as recorded" if o.setting.ttl is None else seconds(o.setting.ttl),
            str(o.setting.policy),
            f"{o.hit_rate:.1%}" + (" ←" if o is best else ""),
            count(o.evictions),
            count(o.expired),
            count(o.dirtied),
            seconds(o.saved_seconds),
            size(o.peak_bytes),
        )
        for o in found
    )
    columns = (
        ">entries", ">memory", ">TTL", "policy", ">hit rate", ">evicted", ">expired", ">dirtied", ">saved", ">peak",
    )  # fmt: skip
    title = f"{count(found[0].requests)} cacheable requests; ← the smallest within 1 % of the best"
    say({"requests": found[0].requests, "settings": documents}, as_json, table(title, columns, rows))


def _best(found: list[Outcome]) -> Outcome:
    most = max(outcome.hit_rate for outcome in found)
    near = [outcome for outcome in found if outcome.hit_rate >= most - 0.01]
    return min(near, key=lambda o: (o.setting.max_entries, o.setting.max_bytes, o.setting.ttl or 0.0))


def _numbers(option: str, text: str, *, least: int, kilo: int = 1000) -> list[Any]:
    numbers: list[Any] = []
    for part in text.split(","):
        item = part.strip()
        found = re.fullmatch(r"(\d+(?:\.\d+)?)([kmgKMG]?)(?:i?[bB])?", item)
        value = float(found[1]) * kilo ** _POWERS[found[2].lower()] if found else math.nan
        if not value >= least:
            fail(f"{option} must be numbers >= {least} separated by commas, such as 100,1k, not {shown(item)}", USAGE)
        numbers.append(value)
    return numbers


def _durations(option: str, text: str, *, word: str) -> list[float | None]:
    """The durations of a list in seconds; None for `word`."""
    found: list[float | None] = []
    for part in text.split(","):
        item = part.strip()
        try:
            number = None if item == word else seconds_of(item)
        except ValueError:
            number = math.nan
        if number is not None and not number >= 0:
            allowed = f"seconds >= 0, or durations such as 90s, 5m, 2h, 1d, separated by commas, or {word}"
            fail(f"{option} must be {allowed}, not {shown(item)}", USAGE)
        found.append(number)
    return found


def serve(
    target: Annotated[str | None, typer.Argument(help="module:name of a client or transport; or --demo.")] = None,
    demo: Annotated[bool, typer.Option("--demo", help="Show a simulated WATS server with traffic.")] = False,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port; 0: any that is free.")] = 8080,
    token: Annotated[
        str, typer.Option(envvar="PYWATS_CACHE_TOKEN", help="The token that changes need; made up if not given.")
    ] = "",
    allow_host: Annotated[
        list[str] | None, typer.Option(help="A name under which a proxy offers the page; may be repeated.")
    ] = None,
    prefix: Annotated[str, typer.Option(help="The path under which a proxy offers it, such as /station7.")] = "",
    as_json: AsJson = False,
) -> None:
    """Serve the page of a cache, its figures, /metrics and operations on it, until Ctrl+C or SIGTERM.

    A station service and a program that calls `pywats_cache.web.serve(client)` do so by themselves.
    """
    from .. import web

    if demo == (target is not None):
        fail("give module:name of a client, or --demo", USAGE)
    given = token or secrets.token_urlsafe(16)
    if demo:
        from .demonstration import traffic

        with traffic() as client:
            _listen(web, client, as_json, host=host, port=port, token=given, hosts=allow_host or (), prefix=prefix)
    else:
        client = load(target or "", "target must be module:name, such as station:client")
        _listen(web, client, as_json, host=host, port=port, token=given, hosts=allow_host or (), prefix=prefix)


def _listen(web: Any, client: Any, as_json: bool, **options: Any) -> None:
    host, port, token = options["host"], options["port"], options["token"]
    try:
        listener = web.serve(client, **options)
    except (OSError, UnicodeError) as error:  # the latter for what is no name of a host
        why = getattr(error, "strerror", None) or "it is no address"
        fail(f"cannot listen on {shown(host)}, port {port}: {why}", USAGE)
    except CachingError as error:
        fail(str(error), USAGE)
    document = {"url": listener.url, "token": token}
    text = (
        as_document(document)
        if as_json
        else f"listening; the page is at {listener.url}/cache#token={token} (Ctrl+C ends it)"
    )
    print(text, flush=True)
    # As Ctrl+C, which does nothing where a shell started this in the background. SIGBREAK: Ctrl+Break under Windows,
    # and a console that is closed.
    ends = [getattr(signal, name) for name in ("SIGTERM", "SIGBREAK") if hasattr(signal, name)]
    before = [(number, signal.signal(number, signal.default_int_handler)) for number in ends]
    try:
        listener.join()
    except KeyboardInterrupt:
        pass
    finally:
        for number, handler in before:
            signal.signal(number, handler)
        listener.stop_thread()


def demo(
    latency: Annotated[float, typer.Option(min=0, help="Latency of the simulated server, in milliseconds.")] = 20.0,
    as_json: AsJson = False,
) -> None:
    """Time pyWATS calls to a simulated server, without and with the cache, and check a read after a write."""
    from .demonstration import compare

    began = time.perf_counter()
    with Console(stderr=True).status("calling a simulated server …"):
        found = compare(latency / 1000.0)
    found["took"] = time.perf_counter() - began
    rows = (
        (row["what"], seconds(row["without"]), seconds(row["with"]), f"{row['times']:.0f}x") for row in found["rows"]
    )
    say(
        found,
        as_json,
        table(f"A WATS server {latency:g} ms away", ("", ">without", ">with the cache", ">faster"), rows),
        f"requests to the server: {found['requests_without']} without, {found['requests_with']} with the cache",
        f"read after a write: {'the new value, at once' if found['coherent'] else 'THE OLD VALUE'}",
    )
    if not found["coherent"]:
        raise typer.Exit(FOUND)
