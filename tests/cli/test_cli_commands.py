"""Each command as a user runs it: a process of its own, against a service that is one too."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

pytest.importorskip("typer")
pytest.importorskip("uvicorn")

STATION = """
import httpx
from pywats_cache import CacheClient, Controller, Read, Write

def answer(request):
    return httpx.Response(500 if "bad" in request.url.path else 200, text="x" * 100)

client = CacheClient(
    transport=httpx.MockTransport(answer),
    base_url="http://wats.example",
    headers={"Authorization": "Basic c2VjcmV0"},
    controller=Controller([Read("/api/Product/**", ttl=60, tags=("product",)), Write("/api/Product/**")], ttl=30),
    record="trace.jsonl",
)
for number in (1, 1, 1, 2, 2, 3):
    client.get(f"/api/Product/PN-{number}")
client.get("/api/other")
"""
Run = Callable[..., "subprocess.CompletedProcess[str]"]


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "pywats_cache.cli", *arguments]


@pytest.fixture
def station(tmp_path: Path) -> Iterator[tuple[str, str]]:
    """The address and the token of a service."""
    (tmp_path / "station.py").write_text(STATION, "utf-8")
    process = subprocess.Popen(
        command("serve", "station:client", "--port", "0", "--json"), cwd=tmp_path, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        said = json.loads(process.stdout.readline())
        yield said["url"], said["token"]
    finally:
        process.terminate()
        process.wait(timeout=20)
        process.stdout.close()


@pytest.fixture
def run(station: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("PYWATS_CACHE_URL", station[0])
    monkeypatch.setenv("PYWATS_CACHE_TOKEN", station[1])
    return _runner(tmp_path)


def _runner(folder: Path) -> Run:
    def run(*arguments: str, code: int = 0, text: str | None = None) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            command(*arguments), cwd=folder, input=text or "", capture_output=True, encoding="utf-8", timeout=120
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done

    return run


def parsed(done: subprocess.CompletedProcess[str]) -> Any:
    return json.loads(done.stdout)


def test_a_running_service_is_asked_and_told(run: Run) -> None:
    stats = parsed(run("stats", "--json"))
    assert (stats["hits"], stats["misses"], stats["entries"]) == (3, 4, 4)
    shown = run("stats").stdout
    assert "42.9%" in shown
    assert "/api/Product/**" in shown

    entries = parsed(run("inspect", "--json", "--sort", "hits", "--tag", "product"))
    assert [entry["hits"] for entry in entries["entries"]] == [2, 1, 0]
    assert entries["total"] == 4
    assert entries["entries"][0]["tags"] == ["product"]
    assert parsed(run("inspect", "--json", "--match", "OTHER"))["matching"] == 1
    assert len(parsed(run("inspect", "--json", "--limit", "2"))["entries"]) == 2
    assert "/api/product/pn-1" in run("inspect").stdout

    assert parsed(run("explain", "get", "/api/Product/PN-1", "--json"))["status"] == "hit"
    assert "miss: unknown" in run("explain", "GET", "/api/Product/PN-9").stdout
    assert "nothing is stored under this key" in run("explain", "GET", "/api/Product/PN-9").stdout
    assert "bypass: write" in run("explain", "PUT", "/api/Product/PN-1").stdout

    assert run("doctor").stdout.strip() == "nothing is wrong"
    assert parsed(run("doctor", "--json")) == {"findings": []}

    assert "tag product" in run("invalidate", "--tag", "product").stdout
    assert parsed(run("explain", "GET", "/api/Product/PN-1", "--json"))["reason"] == "dirtied"
    warmed = parsed(run("warm", "/api/Product/PN-1", "--file", "-", "--json", text="# products\n/api/Product/PN-2\n\n"))
    assert warmed == {"total": 2, "fetched": 2, "fresh": 0, "failed": 0}
    assert "1 failed" in run("warm", "/api/bad", "/api/Product/PN-1", code=1).stdout
    run("invalidate", "/api/Product", "--json")
    assert parsed(run("explain", "GET", "/api/Product/PN-2", "--json"))["reason"] == "dirtied"
    assert "entries forgotten" in run("clear").stdout
    assert parsed(run("stats", "--json"))["entries"] == 0

    for text in (shown, json.dumps(entries)):
        assert "c2VjcmV0" not in text


def test_what_is_wrong_is_said_with_what_to_do(run: Run, station: tuple[str, str]) -> None:
    assert "nothing to invalidate" in run("invalidate", code=2).stderr
    assert "nothing to warm" in run("warm", code=2).stderr
    assert "path must start with '/'" in run("invalidate", "api", code=2).stderr
    assert "cannot be read" in run("warm", "--file", "missing.txt", code=2).stderr
    assert "changes need the token" in run("clear", "--token", "wrong", code=4).stderr
    assert "changes need the token" in run("invalidate", "/api/Product", "--token", "", code=4).stderr
    gone = run("stats", "--url", "http://127.0.0.1:9", code=3).stderr
    assert "no service answers at http://127.0.0.1:9" in gone
    assert "pywats-cache serve" in gone
    assert "--url must be http://host:port" in run("stats", "--url", "localhost:80", code=2).stderr
    assert "is not an address" in run("stats", "--url", "http://localhost:port", code=2).stderr
    assert "is not a pywats-cache service" in run("stats", "--url", f"{station[0]}/health", code=3).stderr
    run("inspect", "--sort", "colour", code=2)
    assert "METHOD must be one such as GET, not '/api/other'" in run("explain", "/api/other", "GET", code=2).stderr


class Anything(BaseHTTPRequestHandler):
    """Some other program, which answers every request alike."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{"status": "ok"}')

    do_POST = do_GET

    def log_message(self, *_: Any) -> None:
        pass


def test_another_program_is_not_taken_for_a_service(tmp_path: Path) -> None:
    with HTTPServer(("127.0.0.1", 0), Anything) as other:
        thread = threading.Thread(target=other.serve_forever, args=(0.01,))
        thread.start()
        try:
            for arguments in (["stats"], ["doctor"], ["invalidate", "/api"], ["clear", "--yes"], ["warm", "/api"]):
                url = f"http://127.0.0.1:{other.server_port}"
                said = _runner(tmp_path)(*arguments, "--url", url, code=3).stderr
                assert "is not a pywats-cache service" in said
        finally:
            other.shutdown()
            thread.join()


@pytest.mark.parametrize("token", ["größe", "two\nlines"])
def test_a_token_that_no_header_can_carry_is_bad_input(run: Run, token: str) -> None:
    said = run("clear", "--token", token, code=2).stderr
    assert "PYWATS_CACHE_TOKEN) must be printable ASCII" in said
    assert token[:3] not in said


def test_a_list_to_warm_may_have_comments_and_the_mark_of_windows(run: Run, tmp_path: Path) -> None:
    (tmp_path / "parts.txt").write_text("\ufeff/api/Product/PN-7\n\n# one\n  # two\n", "utf-8")
    assert parsed(run("warm", "--file", "parts.txt", "--json"))["total"] == 1


def test_the_doctor_ends_with_one_when_it_finds_something(run: Run) -> None:
    run("warm", *[f"/api/Product/PN-{n}?now={n}" for n in range(40)])
    found = parsed(run("doctor", "--json", code=1))
    assert "unique-query" in [finding["code"] for finding in found["findings"]]
    (told,) = (line for line in run("doctor", code=1).stdout.splitlines() if "unique-query" in line)
    assert told.endswith(found["findings"][0]["text"])


def test_the_figures_are_served_to_prometheus(run: Run, station: tuple[str, str]) -> None:
    pytest.importorskip("prometheus_client")
    text = httpx.get(f"{station[0]}/metrics", trust_env=False).text
    assert 'pywats_cache_requests_total{client="default",outcome="hit"} 3.0' in text


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    subprocess.run([sys.executable, "-c", STATION], cwd=tmp_path, check=True, timeout=60)
    return tmp_path / "trace.jsonl"


def test_simulate_says_what_to_set(trace: Path, tmp_path: Path) -> None:
    run = _runner(tmp_path)
    found = parsed(run("simulate", str(trace), "--entries", "1,2,1k", "--ttl", "recorded,0", "--json"))
    assert found["requests"] == 7
    assert [s["setting"]["policy"] for s in found["settings"]] == ["lru", "w-tinylfu"] * 6
    rates = {(s["setting"]["max_entries"], s["setting"]["ttl"]): s["hits"] for s in found["settings"]}
    assert rates == {(1, None): 3, (1, 0.0): 0, (2, None): 3, (2, 0.0): 0, (1000, None): 3, (1000, 0.0): 0}
    best = [s["setting"] for s in found["settings"] if s["best"]]
    assert [(setting["max_entries"], setting["policy"]) for setting in best] == [(1, "lru")]
    written = parsed(run("simulate", str(trace), "--entries", "5", "--ttl", "300,5m,2h", "--policy", "lru", "--json"))
    assert [s["setting"]["ttl"] for s in written["settings"]] == [300.0, 300.0, 7200.0]
    one = parsed(run("simulate", str(trace), "--entries", "5", "--policy", "w-tinylfu", "--json"))
    assert [(s["setting"]["policy"], s["hits"]) for s in one["settings"]] == [("w-tinylfu", 3)]
    shown = run("simulate", str(trace)).stdout
    assert "42.9% ←" in shown
    assert "as recorded" in shown
    assert "w-tinylfu" in shown


def test_a_pipe_that_knows_no_arrow_gets_the_figures(
    trace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", "cp1252")  # as on Windows
    assert "42.9% ?" in _runner(tmp_path)("simulate", str(trace), "--entries", "10").stdout


def test_simulate_names_what_it_cannot_use(trace: Path, tmp_path: Path) -> None:
    run = _runner(tmp_path)
    assert "--entries must be numbers >= 1" in run("simulate", str(trace), "--entries", "many", code=2).stderr
    assert "or recorded, not 'x'" in run("simulate", str(trace), "--ttl", "x", code=2).stderr
    assert "of lru, w-tinylfu, not 'fifo'" in run("simulate", str(trace), "--policy", "lru,fifo", code=2).stderr
    assert "missing.jsonl" in run("simulate", "missing.jsonl", code=2).stderr
    assert (
        "is not a trace"
        in run("simulate", "station.py" if (tmp_path / "station.py").exists() else __file__, code=2).stderr
    )
    (tmp_path / "empty.jsonl").write_text('{"pywats_cache_trace": 1}\n')
    assert "no cacheable request" in run("simulate", "empty.jsonl", code=2).stderr


def test_serve_names_what_it_cannot_serve(tmp_path: Path) -> None:
    run = _runner(tmp_path)
    assert "give module:name" in run("serve", code=2).stderr
    assert "module:name" in run("serve", "nothing", code=2).stderr
    assert "cannot be loaded" in run("serve", "no_such_module:client", code=2).stderr
    (tmp_path / "other.py").write_text("client = 5\n")
    assert run("serve", "other:client", code=2).stderr.startswith("pywats-cache: client must be a cache transport")


def test_the_demo_shows_the_main_job(tmp_path: Path) -> None:
    pytest.importorskip("pywats")
    found = parsed(_runner(tmp_path)("demo", "--latency", "5", "--json"))
    assert found["coherent"] is True
    assert found["requests_without"] == 240
    assert found["requests_with"] == 40
    assert found["rows"][1]["times"] > 3


BACKGROUND = 'trap "" INT; exec "$@"'  # as a shell starts a job with `&`


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.parametrize("background", [False, True])
def test_serve_ends_in_order_by_sigterm_also_in_the_background(tmp_path: Path, background: bool) -> None:
    (tmp_path / "station.py").write_text(STATION, "utf-8")
    started = command("serve", "station:client", "--port", "0", "--json")
    if background:
        started = ["sh", "-c", BACKGROUND, "sh", *started]
    process = subprocess.Popen(started, cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        url = json.loads(process.stdout.readline())["url"]
        if background:
            process.send_signal(signal.SIGINT)
        with httpx.Client(trust_env=False) as http:
            assert http.get(f"{url}/cache/stats").status_code == 200
        process.terminate()
        assert process.wait(timeout=30) == 0
        lines = (tmp_path / "trace.jsonl").read_text("utf-8").splitlines()
        assert len(lines) > 7, "what was recorded has been written"
    finally:
        process.kill()
        process.wait(timeout=30)
        process.stdout.close()


def test_the_demo_can_be_looked_at(tmp_path: Path) -> None:
    pytest.importorskip("pywats")
    process = subprocess.Popen(
        command("serve", "--demo", "--port", "0", "--json"), cwd=tmp_path, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        url = json.loads(process.stdout.readline())["url"]
        with httpx.Client(trust_env=False) as http:
            deadline = time.monotonic() + 30
            while http.get(f"{url}/cache/stats").json()["hits"] < 5:
                assert time.monotonic() < deadline
            assert "text/html" in http.get(f"{url}/cache").headers["content-type"]
    finally:
        process.terminate()
        process.wait(timeout=20)
        process.stdout.close()


def test_help_version_and_every_command(tmp_path: Path) -> None:
    from pywats_cache import __version__

    run = _runner(tmp_path)
    assert run("--version").stdout.strip() == __version__
    shown = run("--help").stdout
    for name in ("demo", "stats", "inspect", "explain", "doctor", "warm", "invalidate", "clear", "simulate", "serve"):
        assert name in shown
        assert "--json" in run(name, "--help").stdout
    assert "4 the service refused" in " ".join(shown.split())


PROGRAM = Path(sys.executable).with_name("pywats-cache")


@pytest.mark.skipif(not PROGRAM.exists() or not shutil.which("bash"), reason="needs bash and the installed command")
@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("pywats-cache in", {"inspect", "invalidate"}),
        ("pywats-cache inspect --so", {"--sort"}),
        ("pywats-cache inspect --sort s", {"saved_seconds", "size"}),
        ("pywats-cache warm --r", {"--rules"}),
    ],
)
def test_bash_completes(typed: str, offered: set[str], tmp_path: Path) -> None:
    """The script that the command prints, sourced by a shell that then completes what was typed."""
    words = typed.split()
    script = f"""
        source <(_PYWATS_CACHE_COMPLETE=source_bash pywats-cache) || exit 1
        complete -p pywats-cache || exit 2
        COMP_WORDS=({" ".join(words)}); COMP_CWORD={len(words) - 1}
        _pywats_cache_completion pywats-cache
        printf "%s\\n" "${{COMPREPLY[@]}}"
    """
    environment = {**os.environ, "PATH": f"{PROGRAM.parent}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(["bash", "-c", script], env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    registered, *completions = done.stdout.splitlines()
    assert registered.endswith("-F _pywats_cache_completion pywats-cache")
    assert set(completions) == offered


@pytest.mark.skipif(not PROGRAM.exists() or not shutil.which("bash"), reason="needs bash and the installed command")
def test_the_script_is_shown_in_the_shell_that_asks() -> None:
    shown = subprocess.run(
        ["bash", "-c", f"{PROGRAM} --show-completion; true"], capture_output=True, text=True, timeout=60
    )
    assert "complete -o default -F _pywats_cache_completion pywats-cache" in shown.stdout


def test_without_its_extra_the_command_says_what_to_install() -> None:
    code = "import sys; sys.modules['typer'] = None; from pywats_cache.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "pip install 'pywats-cache[cli]'" in done.stderr


def test_a_time_that_is_over_is_shown_as_one() -> None:
    from pywats_cache.cli.output import seconds

    assert [seconds(number) for number in (-130.0, 0.5, 90.0, None)] == ["-2 min", "500.0 ms", "90.0 s", "∞"]
