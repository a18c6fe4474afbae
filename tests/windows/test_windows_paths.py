"""The forms that paths have under Windows, in URLs of storages, in SQLite's URIs and in messages."""

from __future__ import annotations

from pathlib import Path, PureWindowsPath
from typing import cast

import pytest

from pywats_cache import ConfigurationError
from pywats_cache.storage.sqlite.store_files import check_store, is_on_network, part, sqlite_uri
from pywats_cache.storage.url import parse_storage_url
from pywats_cache.support.showing import looks_like_url, shown, shown_path, shown_url


class WindowsPath(PureWindowsPath):
    """One that is absolute."""

    def absolute(self) -> WindowsPath:
        assert self.is_absolute()
        return self


def _path(text: str) -> Path:
    return cast("Path", WindowsPath(text))


URLS = {
    "sqlite:///C:/Data/wats cache.db": r"C:\Data\wats cache.db",
    "sqlite:///C:/Data/wats%20cache.db": r"C:\Data\wats cache.db",
    "sqlite:///C:/Prüfstand%2FÜ/ü.db": r"C:\Prüfstand\Ü\ü.db",
    "sqlite:///c:/pr%C3%BCf/c.db": r"c:\prüf\c.db",
    r"sqlite:///C:\Data\wats cache.db": r"C:\Data\wats cache.db",
    "sqlite:///C%3A/Data/c.db": r"C:\Data\c.db",
    "sqlite:////Data/c.db": r"\Data\c.db",  # the root of the drive at hand, as everywhere under Windows
    "sqlite://///server/share/ü.db": r"\\server\share\ü.db",
    r"sqlite:///\\server\share\ü.db": r"\\server\share\ü.db",
    "sqlite:///cache.db": "cache.db",
    "sqlite:///~/cache.db": r"~\cache.db",
}


@pytest.mark.parametrize(("url", "path"), URLS.items())
def test_a_url_names_the_file_that_it_seems_to(url: str, path: str) -> None:
    assert PureWindowsPath(parse_storage_url(url).path) == PureWindowsPath(path)


@pytest.mark.parametrize("url", [url for url in URLS if "%3A" not in url])
def test_it_is_repeated_in_messages(url: str) -> None:
    assert shown_url(url) == url


@pytest.mark.parametrize(
    "path", [path for path in URLS.values() if is_on_network(PureWindowsPath(path)) or ":" in path]
)
def test_its_path_is_repeated_too_and_is_no_url(path: str) -> None:
    assert shown_path(path) == path
    assert shown(path) == repr(path)
    assert not looks_like_url(path)


@pytest.mark.parametrize("text", [r"\\u:hunter2@host\share", r"\\u@hunter2\share", r"\\hunter2", r"\\\hunter2\x"])
def test_what_may_hold_a_password_is_not(text: str) -> None:
    assert "hunter2" not in shown(text)


@pytest.mark.parametrize(
    ("path", "uri"),
    [
        # https://www.sqlite.org/uri.html: three slashes before a drive; a share has no host, but four
        (r"C:\Data\wats cache.db", "file:///C%3A/Data/wats%20cache.db?mode=ro"),
        (r"C:\Prüf\100%?#.db", "file:///C%3A/Pr%C3%BCf/100%25%3F%23.db?mode=ro"),
        (r"\\server\share\ü.db", "file:////server/share/%C3%BC.db?mode=ro"),
        ("\\\\?\\C:\\Data\\c.db", "file:////%3F/C%3A/Data/c.db?mode=ro"),
    ],
)
def test_sqlite_is_told_it_as_sqlite_reads_it(path: str, uri: str) -> None:
    assert sqlite_uri(_path(path), "mode=ro") == uri


@pytest.mark.parametrize(
    ("path", "is_shared"),
    [
        (r"C:\Data\c.db", False),
        ("\\\\?\\C:\\Data\\c.db", False),
        (r"\\server\share\c.db", True),
        ("//server/share/c.db", True),
        (r"\\?\UNC\server\share\c.db", True),
        (r"\\localhost\c$\c.db", True),
    ],
)
def test_a_store_is_on_no_share(path: str, is_shared: bool) -> None:
    assert is_on_network(_path(path)) is is_shared
    if is_shared:
        with pytest.raises(ConfigurationError, match=r"must be on a drive of this machine, not .*redis://"):
            check_store(_path(path))


def test_the_other_files_are_beside_it() -> None:
    assert part(_path(r"C:\Data\ü ü.db"), "-ledger") == WindowsPath(r"C:\Data\ü ü.db-ledger")
