"""An update is a restart: two versions on one store see each other's writes, or one refuses and says why."""

from __future__ import annotations

import io
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from restart_world import Away, Life
from sharing_world import soon

EARLIER = "559c058c4aeb6acd5154919889a7d7bcb93ae81d"
"""The commit before records got their present format."""
ROOT = Path(__file__).parents[2]
WORKER = Path(__file__).with_name("versions_worker.py")


@pytest.fixture(scope="module")
def earlier(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A directory with the package as it was."""
    try:
        packed = subprocess.run(
            ["git", "archive", EARLIER, "src"], cwd=ROOT, capture_output=True, check=True, timeout=60
        ).stdout
    except (OSError, subprocess.CalledProcessError):
        pytest.skip(f"the commit {EARLIER[:7]} is not in this copy of the repository")
    into = tmp_path_factory.mktemp("earlier")
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        if sys.version_info >= (3, 12):
            archive.extractall(into, filter="data")
        else:
            archive.extractall(into)
    return str(into / "src")


@pytest.fixture(params=["sqlite", "valkey"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/shared.db"
    return f"{request.getfixturevalue('valkey')}?prefix={tmp_path.name}&max_lag=0.2"


@pytest.fixture
def live(server: Away) -> Iterator[Callable[..., Life]]:
    """Starts a process: `live(storage, path_of_its_version, **settings)`."""
    lives: list[Life] = []

    def live(storage: str, path: str = "", **settings: Any) -> Life:
        lives.append(Life(storage, server.url, path, WORKER, **settings))
        lives[-1].ready()
        return lives[-1]

    yield live
    for life in lives:
        life.close()


def outcome(life: Life, method: str = "GET") -> tuple[str, str]:
    found = life.tell(method)
    assert found["errors"] == 0, found
    return found["text"], found["status"]


def names(directory: Path) -> list[str]:
    return [path.name for path in directory.iterdir() if ".aside-" in path.name]


def lag_of(storage: str) -> float:
    """Seconds; of what the earlier version writes in Redis this one learns by its beats."""
    return 1.0 if storage.startswith("redis") else 0.0


def after(reader: Life, seconds: float) -> tuple[str, str]:
    """What it reads once something is new to it, at the latest when it begins so many seconds from now."""
    until = time.monotonic() + seconds
    while True:
        is_last = time.monotonic() >= until
        found = outcome(reader)
        if is_last or found[1] != "hit":
            return found


def take_turns(one: Life, other: Life, lag: float) -> None:
    """Each reads, and writes, and neither sees what was before the other's write, `lag` seconds after that."""
    version = 1
    for writer, reader in ((one, other), (other, one)) * 2:
        for life in (one, other):
            assert outcome(life)[0] == f"version {version}"
            assert outcome(life) == (f"version {version}", "hit")
        assert outcome(writer, "PUT")[1] == "bypass"
        version += 1
        assert after(reader, lag) == (f"version {version}", "miss")


def test_the_earlier_version_and_this_one_see_each_others_writes(
    live: Callable[..., Life], storage: str, earlier: str, tmp_path: Path
) -> None:
    old, new = live(storage, earlier), live(storage)
    assert old.tell("GET", "/where")["where"].startswith(earlier)
    assert not new.tell("GET", "/where")["where"].startswith(earlier)
    take_turns(old, new, lag_of(storage))
    for life, path in ((old, earlier), (new, "")):
        assert outcome(life)[1] in ("hit", "miss")
        life.kill()
        assert outcome(live(storage, path)) == ("version 5", "hit"), "neither removes the other's records"
    assert live(storage).tell("DOCTOR")["codes"] == []
    assert names(tmp_path) == []


def test_this_version_follows_what_the_earlier_one_wrote_before_the_update(
    live: Callable[..., Life], storage: str, earlier: str, tmp_path: Path
) -> None:
    new = live(storage)
    assert outcome(new) == ("version 1", "miss")
    new.kill()
    old = live(storage, earlier)
    assert outcome(old, "PUT")[1] == "bypass"
    old.kill()
    assert outcome(live(storage)) == ("version 2", "miss")
    assert names(tmp_path) == []


MANY = 5000
"""More than a table of tags holds, in either version."""


def status(life: Life, path: str) -> str:
    found = life.tell("GET", path)
    assert found["errors"] == 0, found
    return str(found["status"])


def test_a_table_that_one_version_makes_smaller_hides_no_write_from_the_other(
    live: Callable[..., Life], storage: str, earlier: str
) -> None:
    old, new = live(storage, earlier), live(storage)
    kept, dirtied = "/config/site/1", [f"/api/unit/{n}/x" for n in range(4)]
    for life in (old, new):
        for path in (kept, *dirtied):
            assert status(life, path) in ("miss", "hit")
    new.tell("DIRTY", f"/api/unit/*/x/y {MANY}")  # compacts
    soon(lambda: status(old, dirtied[0]) == "miss")
    for path in ("", earlier):
        fresh = live(storage, path)
        assert status(fresh, dirtied[1]) == "miss"
        assert status(fresh, kept) == "hit", "no write lay below /config"
    old.tell("DIRTY", f"/other/* {MANY}")  # folds
    for path in ("", earlier):
        assert status(live(storage, path), dirtied[2]) == "miss"


def test_a_floor_of_explicit_tags_is_kept_by_both_versions(
    live: Callable[..., Life], storage: str, earlier: str
) -> None:
    old, new = live(storage, earlier), live(storage)
    written, kept, tagged = "/config/site/1", "/config/site/2", "/tagged#t7"
    for life in (old, new):
        for path in (written, kept, tagged):
            assert status(life, path) == "miss"
    old.tell("DIRTY", f"{written} 1")
    new.tell("INVALIDATE", f"t {MANY}")  # compacts
    fresh = live(storage)
    assert status(fresh, kept) == "hit", "it carries no explicit tag"
    assert status(live(storage, earlier), tagged) == "miss", "that version has to be told by the common floor"
    old.tell("DIRTY", f"/other/* {MANY}")  # folds, below the floor that it was told
    assert status(live(storage), written) == "miss"
    assert status(live(storage), tagged) == "miss"


@pytest.mark.parametrize("what", ["records", "same keys"])
def test_a_later_version_of_records_is_left_alone(
    live: Callable[..., Life], storage: str, tmp_path: Path, what: str
) -> None:
    new, later = live(storage), live(storage, next=[what])
    assert outcome(later) == ("version 1", "miss")
    later.kill()
    assert outcome(live(storage, next=[what])) == ("version 1", "hit")
    assert outcome(new) == ("version 1", "miss")
    found = new.tell("DOCTOR")
    if what == "records":
        assert found["codes"] == []
        take_turns(new, live(storage, next=[what]), lag_of(storage))
    else:
        assert found["codes"] == ["later-version"]
        assert "a record of version 3, written by a later pywats-cache" in found["texts"][0]
    assert names(tmp_path) == []


def refused(life: Life) -> str:
    """What `doctor()` says of a store of a later version."""
    texts: list[str] = life.tell("DOCTOR")["texts"]
    return next(text for text in texts if "later pywats-cache wrote it; update this one, or use another path" in text)


@pytest.mark.parametrize("part", ["main", "ledger", "redis"])
def test_a_store_of_a_later_version_is_refused_and_doctor_says_why(
    live: Callable[..., Life], storage: str, tmp_path: Path, part: str
) -> None:
    if (part == "redis") is storage.startswith("sqlite"):
        pytest.skip("not of this kind of store")
    later = live(storage, next=[part])
    assert outcome(later) == ("version 1", "miss")
    new = live(storage)
    found = new.tell("GET")
    assert (found["status"], found["text"]) == ("miss", "version 1")
    assert found["errors"] > 0
    if part != "main":  # what writes invalidate is not known, so nothing is stored either
        assert found["reason"] == "storage-error"
        assert new.tell("GET")["status"] == "miss"
    assert ("of format 2, not 1" if part == "redis" else "of version") in refused(new)
    assert outcome(later) == ("version 1", "hit")
    assert outcome(live(storage, next=[part])) == ("version 1", "hit"), "its records are there"
    assert names(tmp_path) == []


def test_a_process_that_runs_refuses_a_ledger_that_a_later_version_takes_over(
    live: Callable[..., Life], valkey: str, tmp_path: Path
) -> None:
    storage = f"{valkey}?prefix={tmp_path.name}&max_lag=0.2"
    new, later = live(storage), live(storage, next=["redis"])
    assert outcome(new) == ("version 1", "miss")
    later.tell("PUT")
    soon(lambda: new.tell("GET")["reason"] == "storage-error")
    assert "of format 2, not 1" in refused(new)
