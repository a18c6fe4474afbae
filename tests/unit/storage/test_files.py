"""A file that others use: whether it is still the one that was opened."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pywats_cache.storage.sqlite.epoch_file import EpochFile
from pywats_cache.storage.sqlite.files import found_in_place


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    return path


def test_the_file_that_was_opened_is_found_with_its_size_of_now(path: Path) -> None:
    opened = os.stat(path)
    with path.open("ab") as file:
        file.write(b"er")
    found = found_in_place(path, opened)
    assert found is not None
    assert (opened.st_size, found.st_size) == (3, 5)


def test_another_file_under_its_name_is_not_it(path: Path) -> None:
    opened = os.stat(path)
    path.rename(path.with_name("moved"))  # kept, so that its number is not given to the next one
    path.write_bytes(b"old")
    assert found_in_place(path, opened) is None
    assert found_in_place(path.with_name("moved"), opened) is not None


def test_a_file_that_was_removed_is_not_found(path: Path) -> None:
    opened = os.stat(path)
    path.unlink()
    assert found_in_place(path, opened) is None


def test_where_none_was_opened_none_is_in_place(path: Path) -> None:
    assert found_in_place(path, None) is None


def test_a_mapped_file_that_was_cut_off_is_not_in_place(tmp_path: Path) -> None:
    file = EpochFile(tmp_path / "epoch")
    try:
        assert file.is_in_place()
        os.truncate(file.path, 8)
        assert not file.is_in_place()
    finally:
        file.close()
