"""Whatever paths, tags and rules hold: terminals, pipes and logs get it escaped, and no markup in it is interpreted."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

pytest.importorskip("typer")
pytest.importorskip("uvicorn")
from typer.testing import CliRunner

from pywats_cache import CacheClient, Controller, Read, SharedStorage, web
from pywats_cache.cli.app import app
from pywats_cache.cli.output import say, table
from pywats_cache.telemetry.event_log import Journal

NASTY = {
    "an escape sequence": "\x1b[31mred\x1b[0m",
    "a title": "\x1b]0;title\x07",
    "an 8-bit escape sequence": "\x9b31mred",
    "a bell": "\x07",
    "a carriage return": "\rover",
    "a line feed": "\nforged line",
    "a tab": "\tx",
    "a null": "\x00",
    "a delete": "\x7f",
    "a line separator": "\u2028",
    "a paragraph separator": "\u2029",
    "an override of direction": "\u202egpj.exe\u202c",
    "an isolate": "\u2066x\u2069",
    "a zero-width space": "\u200b",
    "a byte order mark": "\ufeff",
    "a tag character": "\U000e0041",
    "markup": "[red]x[/red]",
    "a link": "[link=http://evil.example]here[/link]",
    "markup that does not end": "[/",
}


def run(*arguments: str, code: int | None = 0) -> str:
    """What a command says on both streams; no line of it holds what a terminal acts upon."""
    result = CliRunner().invoke(app, list(arguments))
    assert code is None or result.exit_code == code, result.output
    check(result.output)
    return result.output


def check(output: str) -> None:
    for line in output.split("\n"):
        assert line.isprintable(), ascii(line)
    assert "forged line" not in [line.strip() for line in output.split("\n")]


def filled(**options: Any) -> CacheClient:
    client = CacheClient(
        transport=httpx.MockTransport(lambda request: httpx.Response(200, text="x")),
        base_url="http://wats.example",
        controller=Controller([Read("/api/**", ttl=60)]),
        **options,
    )
    for text in NASTY.values():
        client.get(f"/api/{quote(text, safe='')}", extensions={"pywats_cache": {"tags": (f"t{text}",)}})
    return client


@pytest.fixture(scope="module")
def service() -> Iterator[str]:
    """The address of a service whose cache holds each of them."""
    with closing(filled()) as client:
        listener = web.serve(client, port=0, name="na\x1b[31mme\u202e[red]", token="secret-token")
        try:
            yield listener.url
        finally:
            listener.stop_thread()


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The URL of a store that holds each of them."""
    url = f"sqlite:///{tmp_path_factory.mktemp('store')}/c.db"
    with closing(filled(storage=url)) as client:
        assert isinstance(client.cache.storage, SharedStorage)
    return url


@pytest.mark.parametrize("target", ["service", "store"])
def test_inspect_shows_each_text_escaped(target: str, request: pytest.FixtureRequest) -> None:
    url = request.getfixturevalue(target)
    output = run("inspect", "--url", url, "--limit", "100")
    joined = "".join(part.strip() for line in output.split("\n") for part in line.split("│"))
    for escaped in (r"\x1b[31m", r"\x9b31m", r"\x07", r"\r", r"\n", r"\x7f", r"\u2028", r"\u202e", r"\u200b", "[red]"):
        assert escaped in joined, (escaped, output)
    assert "[link=http://evil.example]" in joined.replace(" ", "")


@pytest.mark.parametrize("target", ["service", "store"])
def test_json_is_printable_ascii_and_says_the_same(target: str, request: pytest.FixtureRequest) -> None:
    url = request.getfixturevalue(target)
    output = run("inspect", "--url", url, "--limit", "100", "--json")
    assert output.isascii()
    tags = {tag for entry in json.loads(output)["entries"] for tag in entry["tags"]}
    assert tags == {f"t{text}" for text in NASTY.values()}


@pytest.mark.parametrize("kind", NASTY)
@pytest.mark.parametrize("target", ["service", "store"])
def test_every_command_escapes_what_it_is_given_and_told(
    target: str, kind: str, request: pytest.FixtureRequest
) -> None:
    url, text = request.getfixturevalue(target), NASTY[kind]
    path = f"http://wats.example/api/{quote(text, safe='')}"
    run("explain", "GET", path, "--url", url)
    run("explain", "GET", path, "--url", url, "--json")
    run("explain", "GET", f"http://wats.example/{text}", "--url", url, code=None)
    run("stats", "--url", url)
    run("doctor", "--url", url, code=None)
    run("inspect", "--match", text, "--tag", f"t{text}", "--url", url)
    run("warm", text, "--url", url, "--token", "secret-token", code=None)
    run("stats", "--url", f"{url}{text}", code=None)
    run("simulate", text, code=2 if "\0" not in text else None)
    run("stats", text, code=None)
    run(f"--{text}", code=None)


def test_what_is_invalidated_is_told_escaped(service: str) -> None:
    for text in NASTY.values():
        given = ("--tag", f"no{text}", "--url", service, "--token", "secret-token")
        assert "invalidated tag no" in run("invalidate", *given)


class Liar(BaseHTTPRequestHandler):
    """A service that answers with control characters wherever it can."""

    def do_GET(self) -> None:
        text = "".join(NASTY.values())
        answer = {
            "error": text, "enabled": False, "text": text, "reason": text, "findings": [{"code": text, "text": text}],
            "fetched": 0, "fresh": 0, "failed": 0, "total": 0, "cleared": 0, "invalidated": text,
            "entries": [{"path": text, "rule": text, "age": 1, "left": 1, "size": 1, "hits": 1, "tags": [text]}],
            "matching": text,
        }  # fmt: skip
        self.send_response(400 if "doctor" in self.path else 200)
        self.end_headers()
        self.wfile.write(json.dumps(answer).encode())

    do_POST = do_GET

    def log_message(self, *_: Any) -> None:
        """Quietly."""


def test_what_a_service_says_is_escaped_whatever_it_is() -> None:
    server = HTTPServer(("127.0.0.1", 0), Liar)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    url = f"http://127.0.0.1:{server.server_port}"
    try:
        for arguments in (("stats",), ("inspect",), ("explain", "GET", "/a"), ("doctor",), ("warm", "/a")):
            for end in ((), ("--json",)):
                result = CliRunner().invoke(app, [*arguments, "--url", url, *end])
                for line in result.output.split("\n"):
                    assert line.isprintable(), ascii(line)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_lone_surrogates_are_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    say({"path": "\ud800\x7f\x9b"}, True)
    assert capsys.readouterr().out == '{\n  "path": "\\ud800\\u007f\\u009b"\n}\n'
    say({}, False, table("\ud800", ("path",), [("\udfff",)]), "\ud800")
    output = capsys.readouterr().out
    check(output)
    assert r"\ud800" in output
    assert r"\udfff" in output


def test_a_log_line_cannot_be_forged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "pywats_cache.journal"):
        Journal().note("GET\nINJECTED", "miss", "unknown", "/a\x1b[31m", None, 0.0)
    (record,) = caplog.records
    assert record.getMessage() == r"GET\nINJECTED miss: unknown (rule /a\x1b[31m, 0.0 ms)"


def test_the_metrics_escape_a_name(service: str) -> None:
    pytest.importorskip("prometheus_client")
    with closing(filled()) as client:
        listener = web.serve(client, port=0, name='a"\nb{c="d"} 1')
        try:
            text = httpx.get(f"{listener.url}/metrics").text
        finally:
            listener.stop_thread()
    assert r'client="a\"\nb{c=\"d\"} 1"' in text
    assert not [line for line in text.split("\n") if line.startswith("b{")]


def test_the_page_makes_no_markup_of_what_it_is_told() -> None:
    static = Path(web.__file__).parent / "static"
    for script in static.glob("*.js"):
        source = script.read_text("utf-8")
        for way in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("):
            assert way not in source, (script.name, way)
