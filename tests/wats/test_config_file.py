"""The file of a station's configuration: changed as a whole or not at all, by any number of editors."""

from __future__ import annotations

import errno
import json
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from pywats_cache import ConfigurationError, ConfigurationTypeError
from pywats_cache.wats.service import config_file, file_lock
from pywats_cache.wats.service.config_file import (
    backup_of,
    change_config,
    create_config,
    read_config,
    replace_config,
)

SECRET = "c2VjcmV0-token"
DOCUMENT = {
    "api_token": SECRET,
    "cache_ttl_seconds": 300.0,
    "of_a_newer_version": {"a": [1]},
    "station_name": "Prüfplatz",
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "config.json"
    path.write_text(json.dumps(DOCUMENT), "utf-8")
    return path


def document(path: Path) -> Any:
    return json.loads(path.read_text("utf-8"))


def setting(**values: Any) -> Any:
    return lambda found: {**found, **values}


def names(path: Path) -> set[str]:
    return {each.name for each in path.parent.iterdir()}


def test_a_change_keeps_the_rest_and_the_file_of_before(path: Path) -> None:
    before = path.read_bytes()
    change_config(path, setting(cache_ttl_seconds=60))
    assert document(path) == {**DOCUMENT, "cache_ttl_seconds": 60}
    assert list(document(path)) == list(DOCUMENT)
    assert backup_of(path).read_bytes() == before
    assert names(path) == {"config.json", "config.json.bak"}


def test_what_is_so_already_is_not_written(path: Path) -> None:
    status = os.stat(path)
    change_config(path, setting(cache_ttl_seconds=300.0))
    assert os.stat(path).st_mtime_ns == status.st_mtime_ns
    assert names(path) == {"config.json"}
    change_config(path, setting(cache_ttl_seconds=True))
    change_config(path, setting(cache_ttl_seconds=1))  # which Python takes for the same
    assert document(path)["cache_ttl_seconds"] is not True


@pytest.mark.skipif(os.name != "posix", reason="modes")
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o664])
def test_the_mode_of_the_file_stays(path: Path, mode: int) -> None:
    path.chmod(mode)
    change_config(path, setting(cache_ttl_seconds=60))
    assert stat.S_IMODE(path.stat().st_mode) == mode
    assert stat.S_IMODE(backup_of(path).stat().st_mode) == mode


def test_the_line_ends_of_the_file_stay(path: Path) -> None:
    path.write_bytes(json.dumps(DOCUMENT, indent=2).encode().replace(b"\n", b"\r\n"))
    change_config(path, setting(cache_ttl_seconds=60))
    raw = path.read_bytes()
    assert raw.count(b"\n") == raw.count(b"\r\n") > 3


@pytest.mark.skipif(os.name != "posix", reason="links")
def test_a_link_stays_one_and_what_it_leads_to_is_changed(path: Path, tmp_path: Path) -> None:
    link = tmp_path / "links" / "config.json"
    link.parent.mkdir()
    link.symlink_to("../config.json")
    change_config(link, setting(cache_ttl_seconds=60))
    assert link.is_symlink()
    assert document(path)["cache_ttl_seconds"] == 60
    assert {each.name for each in link.parent.iterdir()} == {"config.json"}
    path.unlink()
    with pytest.raises(FileNotFoundError, match="config sample"):
        change_config(link, setting(cache_ttl_seconds=60))


def test_a_byte_order_mark_is_read_and_not_written(path: Path) -> None:
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert read_config(path).document == DOCUMENT
    change_config(path, setting(cache_ttl_seconds=60))
    assert document(path)["cache_ttl_seconds"] == 60


BROKEN = {
    "half-written": (json.dumps(DOCUMENT, indent=2)[:90].encode(), r"is no JSON \(line \d, column \d+: "),
    "empty": (b"", r"is no JSON \(it is empty\)"),
    "a comma too many": (b'{"api_token": "' + SECRET.encode() + b'",}', r"line 1, column \d+"),
    "UTF-16": (json.dumps(DOCUMENT).encode("utf-16"), "UTF-16, as PowerShell"),
    "Latin-1": (f'{{"api_token": "{SECRET}",\n"station_name": "Prüf"}}'.encode("latin-1"), r"is not UTF-8 \(line 2\)"),
    "too deep": (b"[" * 100_000, "is nested too deeply|is no JSON"),
    "a list": (b"[]", "must be a JSON object, not a list"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_file_is_left_as_it_is_and_the_error_says_where_and_what_to_do(path: Path, kind: str) -> None:
    raw, says = BROKEN[kind]
    backup_of(path).write_text("{}", "utf-8")
    path.write_bytes(raw)
    for attempt in (lambda: read_config(path), lambda: change_config(path, setting(cache_ttl_seconds=60))):
        with pytest.raises((ConfigurationError, ConfigurationTypeError), match=says) as refused:
            attempt()
        assert SECRET not in str(refused.value)
        assert "save it as UTF-8" in str(refused.value) or "config.json.bak is what it was" in str(refused.value)
    assert path.read_bytes() == raw
    assert backup_of(path).read_text() == "{}"


def test_a_name_that_is_there_twice_is_not_lost(path: Path) -> None:
    path.write_text('{"cache_ttl_seconds": 1, "a": {"b": 1, "b": 2}, "cache_ttl_seconds": 2}', "utf-8")
    assert read_config(path).twice == ("b", "cache_ttl_seconds")
    with pytest.raises(ConfigurationError, match="has 'b', 'cache_ttl_seconds' twice: remove one"):
        change_config(path, setting(cache_max_size=5))


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="is no file"):
        read_config(tmp_path)
    with pytest.raises(FileNotFoundError, match="config sample --to FILE"):
        read_config(tmp_path / "none.json")
    with pytest.raises(ConfigurationError, match="there is no directory"):
        change_config(tmp_path / "none" / "config.json", setting())
    with pytest.raises(ConfigurationError, match="cannot be a path"):
        read_config(Path("a\0b"))


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.ENOSPC])
@pytest.mark.parametrize("step", ["open", "mkstemp", "fsync", "replace"])
def test_whatever_the_disk_refuses_the_old_settings_stay(
    path: Path, monkeypatch: pytest.MonkeyPatch, step: str, number: int
) -> None:
    """`open` is that of the lock, which a directory that is read-only refuses first."""

    def refused(*arguments: Any, **options: Any) -> Any:
        raise OSError(number, os.strerror(number), str(path))

    before = path.read_bytes()
    monkeypatch.setattr(config_file, "_BUSY_PAUSE", 0.0)
    owner: Any = {"open": file_lock.os, "mkstemp": config_file.tempfile}.get(step, config_file.os)
    with monkeypatch.context() as patch:
        patch.setattr(owner, step, refused)
        with pytest.raises(ConfigurationError, match=r"config\.json cannot be changed.*It is as it was") as error:
            change_config(path, setting(cache_ttl_seconds=60))
    assert ("let whoever runs this write" in str(error.value)) == (number != errno.ENOSPC)
    assert path.read_bytes() == before
    assert names(path) <= {"config.json", "config.json.bak"}
    change_config(path, setting(cache_ttl_seconds=60))
    assert document(path)["cache_ttl_seconds"] == 60


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write everywhere")
def test_a_directory_that_is_read_only_is_named(path: Path) -> None:
    path.parent.chmod(0o500)
    try:
        with pytest.raises(ConfigurationError, match="let whoever runs this write the file and its directory"):
            change_config(path, setting(cache_ttl_seconds=60))
    finally:
        path.parent.chmod(0o700)


def test_a_file_that_another_program_reads_is_tried_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replace, refusals = os.replace, [PermissionError(errno.EACCES, "busy")] * 3

    def busy(source: str, target: Path) -> None:
        if target == path and refusals:
            raise refusals.pop()
        replace(source, target)

    monkeypatch.setattr(config_file, "_BUSY_PAUSE", 0.0)
    monkeypatch.setattr(os, "replace", busy)
    change_config(path, setting(cache_ttl_seconds=60))
    assert not refusals
    assert document(path)["cache_ttl_seconds"] == 60


def test_what_an_editor_without_the_lock_has_written_meanwhile_is_not_lost(path: Path) -> None:
    calls = []

    def change(found: dict[str, Any]) -> dict[str, Any]:
        calls.append(found)
        if len(calls) == 1:
            path.write_text(json.dumps({**DOCUMENT, "station_name": "renamed"}), "utf-8")
        return {**found, "cache_ttl_seconds": 60}

    change_config(path, change)
    assert (document(path)["station_name"], document(path)["cache_ttl_seconds"]) == ("renamed", 60)
    assert len(calls) == 2
    assert names(path) == {"config.json", "config.json.bak"}


def test_an_editor_that_never_rests_is_told_of(path: Path) -> None:
    def change(found: dict[str, Any]) -> dict[str, Any]:
        path.write_text(json.dumps({"round": found.get("round", 0) + 1}), "utf-8")
        return {**found, "cache_ttl_seconds": 60}

    with pytest.raises(ConfigurationError, match="is being changed by another program: try again"):
        change_config(path, change)
    assert "cache_ttl_seconds" not in document(path)


def test_many_editors_in_threads_lose_nothing(path: Path) -> None:
    start = threading.Barrier(4)
    errors: list[BaseException] = []

    def edit(number: int) -> None:
        try:
            start.wait(60)
            for step in range(1, 11):
                change_config(path, setting(**{f"editor{number}": step}))
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=edit, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert errors == []
    assert document(path) == {**DOCUMENT, **{f"editor{number}": 10 for number in range(4)}}
    assert names(path) == {"config.json", "config.json.bak"}


def test_many_editors_in_processes_lose_nothing(path: Path) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from pywats_cache.wats.service.config_file import change_config\n"
        "print('ready', flush=True); sys.stdin.readline()\n"
        "for step in range(1, 11):\n"
        "    change_config(Path(sys.argv[1]), lambda found: {**found, sys.argv[2]: step})\n"
    )
    editors = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(path), f"editor{number}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(3)
    ]
    for editor in editors:
        assert editor.stdout is not None
        assert editor.stdout.readline() == "ready\n"
    for editor in editors:
        assert editor.stdin is not None
        editor.stdin.write("\n")
        editor.stdin.flush()
    for editor in editors:
        editor.communicate(timeout=120)
        assert editor.returncode == 0
    assert document(path) == {**DOCUMENT, **{f"editor{number}": 10 for number in range(3)}}


def test_a_lock_that_is_held_is_waited_for_and_then_told_of(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_lock, "PATIENCE", 0.0)
    with (
        file_lock.locked(path),
        pytest.raises(ConfigurationError, match=r"another program is changing .*config\.json: try again"),
    ):
        change_config(path, setting(cache_ttl_seconds=60))
    change_config(path, setting(cache_ttl_seconds=60))


def test_a_lock_whose_file_its_last_holder_has_just_removed_is_taken_anew(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock, holds, calls = path.with_name("config.json.lock"), file_lock._holds, []

    def released_in_between(descriptor: int) -> bool:
        calls.append(descriptor)
        if len(calls) == 1:
            lock.unlink()  # whoever comes next would make another file, and hold that
        return holds(descriptor)

    monkeypatch.setattr(file_lock, "_holds", released_in_between)
    with file_lock.locked(path):
        assert lock.exists()
    assert len(calls) == 2


def test_a_new_file_is_for_its_owner_only_and_writes_over_nothing(path: Path, tmp_path: Path) -> None:
    new = tmp_path / "new.json"
    create_config(new, DOCUMENT)
    assert document(new) == DOCUMENT
    assert os.name != "posix" or stat.S_IMODE(new.stat().st_mode) == 0o600
    with pytest.raises(ConfigurationError, match="is there already"):
        create_config(path, {})
    assert document(path) == DOCUMENT


def test_a_new_file_that_the_disk_has_no_room_for_is_not_left_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(config_file.os, "fsync", full)
    with pytest.raises(ConfigurationError, match="No space left"):
        create_config(tmp_path / "new.json", DOCUMENT)
    assert list(tmp_path.iterdir()) == []


def test_a_broken_file_that_is_replaced_on_purpose_is_kept_beside_it(path: Path) -> None:
    change_config(path, setting(cache_ttl_seconds=60))
    good = backup_of(path).read_bytes()
    path.write_text("{half", "utf-8")
    replace_config(path, {"a": 1})
    assert document(path) == {"a": 1}
    assert path.with_name("config.json.broken").read_text() == "{half"
    assert backup_of(path).read_bytes() == good
    replace_config(path.with_name("other.json"), {"a": 1})
    assert document(path.with_name("other.json")) == {"a": 1}


def test_half_a_surrogate_pair_is_written_as_it_was(path: Path) -> None:
    path.write_text('{"a": "\\ud800"}', "utf-8")
    change_config(path, setting(b="ü"))
    assert document(path) == {"a": "\ud800", "b": "ü"}
