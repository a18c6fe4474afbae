"""The key of an install: made once, for its owner only, complete at once."""

from __future__ import annotations

import os
import stat
import sys
import threading
from pathlib import Path

import pytest

from pywats_cache import StorageError
from pywats_cache.storage.sqlite.install_key import KEY_BYTES, install_key


def test_it_is_made_once_and_read_afterwards(tmp_path: Path) -> None:
    key = install_key(tmp_path / "key")
    assert len(key) == KEY_BYTES
    assert install_key(tmp_path / "key") == key
    assert install_key(tmp_path / "other") != key
    assert sorted(path.name for path in tmp_path.iterdir()) == ["key", "other"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such modes")
def test_only_its_owner_may_read_it_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        install_key(tmp_path / "key")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600


def test_all_who_ask_at_once_get_the_same(tmp_path: Path) -> None:
    start = threading.Barrier(8)
    keys: list[bytes] = []

    def ask() -> None:
        start.wait()
        keys.append(install_key(tmp_path / "key"))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(keys) == 8
    assert len(set(keys)) == 1


def test_without_links_it_is_put_in_place_by_a_rename(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_links(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "link", no_links)
    assert install_key(tmp_path / "key") == (tmp_path / "key").read_bytes()


@pytest.mark.parametrize("content", [b"", b"short", bytes(33)])
def test_a_file_that_holds_no_key_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "key").write_bytes(content)
    with pytest.raises(StorageError, match="key must hold 32 bytes, not"):
        install_key(tmp_path / "key")
