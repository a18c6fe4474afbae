"""The file of a station's configuration where a file that is open cannot be replaced, and `msvcrt` locks it."""

from __future__ import annotations

import json
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("pywats")

from pywats_cache import ConfigurationError
from pywats_cache.wats.service import config_file, file_lock
from pywats_cache.wats.service.config_file import change_config


def _locking(descriptor: int, mode: int, length: int) -> None:
    assert (mode, length) == (2, 1)
    fcntl: Any = sys.modules["fcntl"]  # the standard library's, which makes the simulation
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


@pytest.fixture(autouse=True)
def msvcrt(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the package uses of it: a lock that another holder refuses at once."""
    assert file_lock._posix is None
    monkeypatch.setattr(file_lock, "_windows", SimpleNamespace(locking=_locking, LK_NBLCK=2))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "Prüf stand" / "config.json"
    path.parent.mkdir()
    path.write_text('{"cache_ttl_seconds": 300}', "utf-8")
    return path


def document(path: Path) -> Any:
    return json.loads(path.read_text("utf-8"))


def test_a_file_that_is_being_read_stays_as_it_was_and_that_is_said(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(config_file, "_BUSY_PAUSE", 0.0)
    with path.open("rb"), pytest.raises(ConfigurationError, match=r"cannot be changed.*It is as it was"):
        change_config(path, lambda found: {**found, "cache_ttl_seconds": 60})
    assert document(path) == {"cache_ttl_seconds": 300}
    change_config(path, lambda found: {**found, "cache_ttl_seconds": 60})
    assert document(path) == {"cache_ttl_seconds": 60}
    assert {each.name for each in path.parent.iterdir()} == {"config.json", "config.json.bak", "config.json.lock"}


def test_many_editors_lose_nothing(path: Path) -> None:
    start, errors = threading.Barrier(4), []

    def edit(number: int) -> None:
        try:
            start.wait(60)
            for step in range(1, 11):
                change_config(path, lambda found, step=step: {**found, f"editor{number}": step})
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=edit, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert errors == []
    assert document(path) == {"cache_ttl_seconds": 300, **{f"editor{number}": 10 for number in range(4)}}
    assert {each.name for each in path.parent.iterdir()} == {"config.json", "config.json.bak", "config.json.lock"}
