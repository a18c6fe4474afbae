"""What is given as a URL, however mistyped and wherever: no message, repr, log line or output repeats its secret."""

from __future__ import annotations

import contextlib
import inspect
import io
import logging
import os
import socket
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import anyio
import httpx
import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, assume, given, settings

from pywats_cache import (
    AsyncCacheClient,
    AsyncCacheTransport,
    Bypass,
    CacheClient,
    CacheTransport,
    Controller,
    MemoryStorage,
    Read,
    SharedStorage,
    TieredStorage,
    Write,
    httpx2,
)
from pywats_cache.storage.redis.storage import RedisSharedStorage
from pywats_cache.storage.url import storage_from_url
from pywats_cache.support.showing import is_relative, printable, shown, shown_address, shown_url

SCHEMES = ("redis", "rediss", "redis+sentinel", "http", "https", "sqlite", "memory", "unix", "postgres")
FORMS = (
    "{scheme}://user:{secret}@127.0.0.1:9/0",
    "{scheme}://:{secret}@127.0.0.1:9/0",
    "{scheme}://{secret}@127.0.0.1:9",
    "{scheme}://127.0.0.1:9/0?password={secret}",
    "{scheme}://127.0.0.1:9/0?{secret}",
    "{scheme}://127.0.0.1:9/0?max_bytes={secret}",
    "{scheme}://127.0.0.1:9/0?policy={secret}&max_lag={secret}&on_unreachable={secret}",
    "{scheme}:///c.db?password={secret}",
    "{scheme}:///c.db?policy={secret}",
    "{scheme}://127.0.0.1:9/0#{secret}",
    "{scheme}://user:a/{secret}@127.0.0.1:9/0",
    "{scheme}://user:a?{secret}@127.0.0.1:9/0",
    "{scheme}://user:a#{secret}@127.0.0.1:9/0",
    "{scheme}://127.0.0.1:{secret}/0",
    "{scheme}://user:{secret}[@127.0.0.1:9",
)
IN_PATH = "{scheme}://127.0.0.1:9/{secret}/0"
MANGLED: dict[str, Callable[[str], str]] = {
    "as it is": lambda url: url,
    "double quotes": lambda url: f'"{url}"',
    "single quotes": lambda url: f"'{url}'",
    "one quote": lambda url: f"'{url}",
    "no colon": lambda url: url.replace("://", "//", 1),
    "no colon at all": lambda url: url.replace(":", ""),
    "one slash": lambda url: url.replace("://", ":/", 1),
    "no slashes": lambda url: url.replace("://", ":", 1),
    "three slashes": lambda url: url.replace("://", ":///", 1),
    "a semicolon": lambda url: url.replace(":", ";"),
    "a semicolon for a question mark": lambda url: url.replace("?", ";"),
    "spaces around": lambda url: f"  {url}\t",
    "spaces within": lambda url: url.replace("/", " / ").replace("@", " @ "),
    "upper case": str.upper,
    "percent-encoded": lambda url: quote(url, safe=""),
    "an at sign percent-encoded": lambda url: url.replace("@", "%40"),
    "a line feed": lambda url: url.replace("//", "//\n"),
    "a line feed behind": lambda url: f"{url}\n",
    "a leading <": lambda url: f"<{url}>",
    "two @": lambda url: url.replace("@", "@@"),
    "full width": lambda url: url.replace(":", "\uff1a").replace("@", "\uff20"),
    "an accent": lambda url: url.replace("user", "usér"),
    "a backslash": lambda url: url.replace("/", "\\"),
    "a variable's name before": lambda url: f"PYWATS_CACHE_STORAGE={url}",
    "a name before": lambda url: f"url: {url}",
    "an escape sequence": lambda url: f"\x1b[31m{url}\x9b0m",
}
secrets = st.text(st.sampled_from("abcdefghkmnpqrstuvwxyz0123456789"), min_size=6, max_size=9).map("q7Z{}".format)


@st.composite
def mistyped(draw: st.DrawFn, *, path: bool = True) -> tuple[str, str]:
    secret = draw(secrets)
    form = draw(st.sampled_from((*FORMS, IN_PATH) if path else FORMS))
    schemes = [scheme for scheme in SCHEMES if form != IN_PATH or scheme != "sqlite"]  # there it is a file's
    url = form.format(scheme=draw(st.sampled_from(schemes)), secret=secret)
    for how in draw(st.lists(st.sampled_from(sorted(MANGLED)), min_size=0, max_size=2)):
        url = MANGLED[how](url)
    return url, secret


class Text(str):
    """A string whose repr is not that of str."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"<{str.__str__(self)}>"


def everything_said(act: Callable[[], Any]) -> str:
    """What a call prints, logs and raises, with the chain of the traceback, and the repr of what it returns."""
    stream, log = io.StringIO(), io.StringIO()
    handler = logging.StreamHandler(log)
    handler.addFilter(lambda record: not record.name.startswith(("httpx", "httpcore", "asyncio")))  # not ours
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    said = ""
    try:
        with contextlib.redirect_stdout(stream), contextlib.redirect_stderr(stream):
            made = act()
        said = f"{made!r} {made}"
        for closes in ("close", "_close_files"):
            if callable(getattr(made, closes, None)):
                closing = getattr(made, closes)()
                if inspect.iscoroutine(closing):
                    closing.close()
    except BaseException as error:
        said = f"{error} {error!r} "
        if not isinstance(error, SystemExit):  # for which Python prints no traceback
            said += "".join(traceback.format_exception(type(error), error, error.__traceback__))
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
    return said + stream.getvalue() + log.getvalue()


def no_network(*_: Any, **__: Any) -> Any:
    raise socket.gaierror(-2, "Name or service not known")


@pytest.fixture(scope="module", autouse=True)
def _elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """In an empty directory, with names of hosts unknown."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("secrets"))
        patch.setattr(socket, "getaddrinfo", no_network)
        yield


def client() -> CacheClient:
    return CacheClient(
        transport=httpx.MockTransport(lambda request: httpx.Response(200, text="x")), base_url="http://o"
    )


@contextlib.contextmanager
def environment(name: str, value: str) -> Iterator[None]:
    before = os.environ.get(name)
    try:
        os.environ[name] = value
    except ValueError:  # a null character
        yield
        return
    try:
        yield
    finally:
        os.environ.pop(name, None)
        if before is not None:
            os.environ[name] = before


PLACES: dict[str, Callable[[Any], Any]] = {
    "storage= of CacheTransport": lambda url: CacheTransport(storage=url),
    "storage= of AsyncCacheTransport": lambda url: AsyncCacheTransport(storage=url),
    "storage= of httpx2.CacheTransport": lambda url: httpx2.CacheTransport(storage=url),
    "storage= of CacheClient": lambda url: CacheClient(storage=url),
    "storage= of AsyncCacheClient": lambda url: AsyncCacheClient(storage=url),
    "storage= as a str of another class": lambda url: CacheTransport(storage=Text(url)),
    "storage= as a Path": lambda url: CacheTransport(storage=Path(url)),  # type: ignore[arg-type]
    "storage= as a list": lambda url: CacheTransport(storage=[url]),  # type: ignore[arg-type]
    "storage= as a tuple": lambda url: CacheTransport(storage=(url, Text(url))),  # type: ignore[arg-type]
    "storage= as a dict": lambda url: CacheTransport(storage={"url": url}),  # type: ignore[arg-type]
    "storage= as bytes": lambda url: CacheTransport(storage=url.encode()),  # type: ignore[arg-type]
    "storage= as a set": lambda url: CacheTransport(storage={url}),  # type: ignore[arg-type]
    "controller=": lambda url: CacheTransport(controller=url),
    "transport=": lambda url: CacheTransport(url),
    "transport= of CacheClient": lambda url: CacheClient(transport=url),
    "clock=": lambda url: CacheTransport(clock=url),
    "log_hits=": lambda url: CacheTransport(log_hits=url),
    "record=": lambda url: CacheTransport(record=url),
    "record= as bytes": lambda url: CacheTransport(record=url.encode()),  # type: ignore[arg-type]
    "a rule's setting of CacheClient": lambda url: CacheClient(ttl=url, rules=[url]),
    "storage_from_url": storage_from_url,
    "SharedStorage": SharedStorage,
    "SharedStorage of a Path": lambda url: SharedStorage(Path(url)),
    "SharedStorage(memory=)": lambda url: SharedStorage("c.db", memory=url),
    "SharedStorage(max_bytes=)": lambda url: SharedStorage("c.db", max_bytes=url),
    "TieredStorage(outer)": lambda url: TieredStorage(MemoryStorage(), url),
    "TieredStorage(memory)": lambda url: TieredStorage(url, url),
    "MemoryStorage(policy=)": lambda url: MemoryStorage(policy=url),
    "MemoryStorage(max_entries=)": lambda url: MemoryStorage(max_entries=url),
    "RedisSharedStorage": RedisSharedStorage,
    "RedisSharedStorage(on_unreachable=)": lambda url: RedisSharedStorage("redis://h", on_unreachable=url),
    "RedisSharedStorage(digest_key=)": lambda url: RedisSharedStorage("redis://h", digest_key=url),
    "RedisSharedStorage(max_lag=)": lambda url: RedisSharedStorage("redis://h", max_lag=url),
    "Controller(rules=)": lambda url: Controller(url),
    "Controller(rules=[])": lambda url: Controller([url]),
    **{
        f"Controller({name}=)": lambda url, name=name: Controller(**{name: url}) and None
        for name in (
            "ttl",
            "unmatched",
            "offline",
            "jitter",
            "negative_ttl",
            "adaptive",
            "refresh_ahead",
            "drop_on",
            "partition",
            "cache_status",
            "store_empty",
            "ignore_case",
            "rfc9111",
            "join_timeout",
            "settle",
        )
    },
    "Controller(partition=())": lambda url: Controller(partition=(url,)) and None,
    "Read(pattern)": lambda url: Read(url) and None,
    "Write(pattern)": lambda url: Write(url) and None,
    "Bypass(pattern)": lambda url: Bypass(url) and None,
    "Read(ttl)": lambda url: Read("/a", url) and None,
    "Read(tags=)": lambda url: Read("/a", tags=url) and None,
    "Read(methods=)": lambda url: Read("/a", methods=(url,)) and None,
    "Read(statuses=)": lambda url: Read("/a", statuses=(url,)) and None,
    "Write(settle=)": lambda url: Write("/a", settle=url),
    "invalidate(path)": lambda url: client().cache.invalidate(url),
    "invalidate(tags=)": lambda url: client().cache.invalidate(tags=url),
    "invalidate(soft=)": lambda url: client().cache.invalidate("/a", soft=url),
    "explain": lambda url: client().cache.explain(url),
    "warm": lambda url: client().warm(url),
    "warm([])": lambda url: client().warm([url]),
    "warm(concurrency=)": lambda url: client().warm(["/a"], concurrency=url),
    "warm(progress=)": lambda url: client().warm(["/a"], progress=url),
    "directives": lambda url: client().get("/a", extensions={"pywats_cache": url}),
    "a directive's name": lambda url: client().get("/a", extensions={"pywats_cache": {url: True}}),
    "a directive's value": lambda url: client().get("/a", extensions={"pywats_cache": {"ttl": url}}),
    "a directive's key": lambda url: client().get("/a", extensions={"pywats_cache": {"key": url}}).extensions,
    "shown": shown,
    "shown of a list": lambda url: shown([url, (url,)]),
    "shown_url": shown_url,
}


@settings(max_examples=900, deadline=None, suppress_health_check=list(HealthCheck))
@given(place=st.sampled_from(sorted(PLACES)), given_=mistyped())
def test_no_parameter_repeats_a_secret(place: str, given_: tuple[str, str]) -> None:
    url, secret = given_
    assert secret.lower() not in everything_said(lambda: PLACES[place](url)).lower()


def _wats(name: str) -> Callable[[str], Any]:
    def make(url: str) -> Any:
        from pywats_cache import AsyncWATS, pyWATS
        from pywats_cache.wats import AsyncHttpClient, HttpClient

        said = []
        for kind in (pyWATS, AsyncWATS, HttpClient, AsyncHttpClient):
            arguments = {"base_url": "http://127.0.0.1:9", "token": "eA==", name: url}
            said.append(everything_said(lambda kind=kind, arguments=arguments: kind(**arguments)))
        return said

    return make


def _called(url: str) -> Any:
    from pywats_cache import pyWATS

    return pyWATS(base_url=url, token="eA==").product.get_product("PN-1")


def _with_token(url: str) -> Any:
    from pywats_cache import pyWATS

    return pyWATS(base_url="http://127.0.0.1:9", token=url).product.get_product("PN-1")


def _from_environment(url: str) -> Any:
    from pywats_cache import pyWATS

    with environment("PYWATS_CACHE_STORAGE", url):
        return pyWATS(base_url="http://127.0.0.1:9", token="eA==")


WATS: dict[str, Callable[[Any], Any]] = {
    **{
        name: _wats(name)
        for name in ("base_url", "token", "cache_storage", "cache_ttl", "cache_ttl_seconds", "cache_max_size",
                     "cache_transport", "cache_controller", "cache_record", "enable_cache")
    },
    "PYWATS_CACHE_STORAGE": _from_environment,
    "base_url of a call": _called,
    "token of a call": _with_token,
}  # fmt: skip


@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
@given(place=st.sampled_from(sorted(WATS)), given_=mistyped(path=False))
def test_no_wats_client_repeats_a_secret(place: str, given_: tuple[str, str]) -> None:
    # The path of an address is where the server lies, and shown as in the SDK.
    pytest.importorskip("pywats")
    url, secret = given_
    assert secret.lower() not in everything_said(lambda: WATS[place](url)).lower()


COMMANDS: dict[str, Callable[[str], list[str]]] = {
    "stats --url": lambda url: ["stats", "--url", url],
    "stats --url=": lambda url: ["stats", f"--url={url}"],
    "stats": lambda url: ["stats", url],
    "a command": lambda url: [url],
    "an option": lambda url: ["stats", f"--nothing={url}", f"--{url}"],
    "inspect --url": lambda url: ["inspect", "--url", url],
    "inspect --sort": lambda url: ["inspect", "--sort", url],
    "inspect --limit": lambda url: ["inspect", "--limit", url],
    "inspect --limit=": lambda url: ["inspect", f"--limit={url}"],
    "explain METHOD": lambda url: ["explain", url, "http://o/a", "--url", "sqlite:///missing.db"],
    "explain URL": lambda url: ["explain", "GET", url, "--url", "sqlite:///missing.db"],
    "explain --rules": lambda url: ["explain", "GET", "http://o/a", "--url", "sqlite:///missing.db", "--rules", url],
    "explain --header": lambda url: ["explain", "GET", "http://o/a", "--url", "sqlite:///missing.db", "--header", url],
    "explain of a service": lambda url: ["explain", "GET", url, "--url", "http://127.0.0.1:9"],
    "doctor --url": lambda url: ["doctor", "--url", url],
    "warm": lambda url: ["warm", url, "--url", "sqlite:///missing.db"],
    "warm --url": lambda url: ["warm", "/a", "--url", url],
    "warm --file": lambda url: ["warm", "--file", url],
    "warm --concurrency": lambda url: ["warm", "/a", "--concurrency", url],
    "invalidate": lambda url: ["invalidate", url, "--url", "http://127.0.0.1:9"],
    "invalidate --url": lambda url: ["invalidate", "/a", "--url", url],
    "invalidate --token": lambda url: ["invalidate", "/a", "--url", "http://127.0.0.1:9", "--token", url],
    "clear --url": lambda url: ["clear", "--yes", "--url", url],
    "simulate": lambda url: ["simulate", url],
    "simulate --policy": lambda url: ["simulate", "missing", "--policy", url],
    "simulate --entries": lambda url: ["simulate", "missing", "--entries", url],
    "serve": lambda url: ["serve", url],
    "serve --host": lambda url: ["serve", "os:path", "--host", url],
    "serve --port": lambda url: ["serve", "os:path", "--port", url],
    "demo --latency": lambda url: ["demo", "--latency", url],
}


def _run(arguments: list[str]) -> str:
    from typer.testing import CliRunner

    from pywats_cache.cli.app import app

    result = CliRunner().invoke(app, arguments)
    left = None if isinstance(result.exception, SystemExit) else result.exception  # whose chain Python would print
    chain = "" if left is None else "".join(traceback.format_exception(type(left), left, left.__traceback__))
    return result.output + chain


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(command=st.sampled_from(sorted(COMMANDS)), given_=mistyped())
def test_no_command_repeats_a_secret(command: str, given_: tuple[str, str]) -> None:
    pytest.importorskip("typer")
    url, secret = given_
    assert secret.lower() not in everything_said(lambda: print(_run(COMMANDS[command](url)))).lower()


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(given_=mistyped())
def test_no_command_repeats_a_secret_of_the_environment(given_: tuple[str, str]) -> None:
    pytest.importorskip("typer")
    url, secret = given_
    for name in ("PYWATS_CACHE_URL", "PYWATS_CACHE_TOKEN", "PYWATS_CACHE_AUTHORIZATION", "PYWATS_CACHE_DIGEST_KEY"):
        for command in ("stats", "clear"):
            with environment(name, url):
                assert secret.lower() not in everything_said(lambda command=command: print(_run([command]))).lower()


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(given_=mistyped(path=False))
def test_the_service_repeats_no_secret(given_: tuple[str, str]) -> None:
    pytest.importorskip("starlette")
    from pywats_cache import web

    url, secret = given_
    assume(not is_relative(url))  # such as `redis127.0.0.1`: the path of a request is shown

    async def ask() -> str:
        app = web.build_app(lambda: web.Subject(client()), web.Guard(None, "token"))
        headers = {"Authorization": "Bearer token"}
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://o", headers=headers) as http:
            answers = [
                await http.get("/cache/explain", params={"url": url}),
                await http.get("/cache/explain", params={"url": "/a", "method": url}),
                await http.get("/cache/entries", params={"sort": url}),
                await http.get("/cache/entries", params={"limit": url}),
                await http.post("/cache/invalidate", json={"path": url}),
                await http.post("/cache/invalidate", json={"tags": url}),
                await http.post("/cache/warm", json={"urls": [url]}),
                await http.post("/cache/warm", json={"urls": url}),
                await http.post("/cache/warm", json={"urls": ["/a"], "concurrency": url}),
            ]
        return "".join(answer.text for answer in answers)

    assert secret.lower() not in everything_said(lambda: anyio.run(ask)).lower()


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(given_=mistyped(path=False))
def test_serving_repeats_no_secret(given_: tuple[str, str]) -> None:
    pytest.importorskip("starlette")
    from pywats_cache import web

    url, secret = given_
    for options in ({"host": url}, {"port": url}, {"token": [url]}):
        said = everything_said(lambda options=options: web.serve(client(), **options))
        assert secret.lower() not in said.lower()
    assert secret.lower() not in everything_said(lambda: web.serve(url)).lower()


FIELDS = ("cache_storage_url", "cache_offline", "cache_ttl_seconds", "cache_max_size", "enable_cache",
          "service_address", "api_token", "proxy_host", "proxy_mode", "log_level", "sync_interval_seconds")  # fmt: skip


@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
@given(name=st.sampled_from(sorted(FIELDS)), given_=mistyped())
def test_no_configuration_repeats_a_secret(name: str, given_: tuple[str, str]) -> None:
    try:
        from pywats_cache.wats import ClientConfig
    except ImportError:
        pytest.skip("needs the extra service")
    url, secret = given_

    def use() -> Any:
        config = ClientConfig.from_dict({name: url, url: 1})
        said = [repr(config), *map(str, config.validate())]
        for act in (config.check_cache, config.repair, lambda: config.__setitem__(name, url)):
            said.append(everything_said(act))
        with contextlib.suppress(KeyError):
            config[url] = 1
        return said

    assert secret.lower() not in everything_said(use).lower()


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(option=st.sampled_from(["--port", "--log-level", "--nothing", ""]), given_=mistyped())
def test_the_command_line_of_the_service_repeats_no_secret(option: str, given_: tuple[str, str]) -> None:
    try:
        from pywats_cache.wats.service.service import main
    except ImportError:
        pytest.skip("needs the extra service")
    url, secret = given_
    assert secret.lower() not in everything_said(lambda: main([part for part in (option, url) if part])).lower()


@given(st.text())
def test_what_is_printable_has_nothing_that_a_terminal_acts_upon(text: str) -> None:
    assert printable(text).isprintable()
    assert printable(text, lines=True).replace("\n", "").isprintable()


@pytest.mark.parametrize("form", [*FORMS, IN_PATH])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_no_mistake_shows_a_secret(scheme: str, form: str) -> None:
    url = form.format(scheme=scheme, secret="q7Zabcdef")
    for first in MANGLED.values():
        for second in MANGLED.values():
            given_ = second(first(url))
            assert "q7zabcdef" not in shown(given_).lower() or form == IN_PATH
            assert "q7zabcdef" not in shown_url(given_).lower() or (scheme == "sqlite" and form == IN_PATH), given_


def test_messages_stay_useful() -> None:
    assert shown_url("redis://:pw@h:6379/0?x=1") == "redis://h:6379/0"
    assert shown_url("https://user:pw@wats.example/a?b=1") == "https://wats.example/…"
    assert shown_address("https://wats.example/wats") == "https://wats.example/wats"
    assert shown_url('"redis://h/0?password=pw"') == "a text that is no URL"
    assert shown("on") == "'on'"
    assert shown("/memory/redis/c.db") == "'/memory/redis/c.db'"
    assert shown(r"C:\cache\c d.db") == repr(r"C:\cache\c d.db")
    assert shown("/api/Product?token=x") == "'/api/Product?'…"
    assert shown(["a", 5]) == "['a', 5]"
    assert shown(("a",)) == "('a',)"
    assert shown(object()) == "an object"
    assert shown(dict) == "<class 'dict'>"
    assert shown(10**400) == "a number that large"
    assert shown(Path("/a")).endswith("Path")
    assert shown("a\x1b[31m") == "a string of 6 characters"
