"""A boot of Windows has a name, so that processes that live for seconds agree on when a window ends."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from pywats_cache.storage.shared import record_clock, windows
from pywats_cache.storage.shared.backend import Change, Known, Window
from pywats_cache.storage.shared.record_format import NO_BOOT
from pywats_cache.storage.sqlite.ledger import SqliteLedger
from pywats_cache.support.boot import windows_boot

NOTHING = Known(None, -1)


@pytest.fixture
def values() -> Iterator[dict[str, Any]]:
    """What the registry holds, which a test may change."""
    found: dict[str, Any] = import_module("winreg").values
    before = dict(found)
    yield found
    found.clear()
    found.update(before)


def test_it_is_of_this_boot_and_of_this_machine(values: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    name = windows_boot()
    assert name is not None
    assert len(name) == len(NO_BOOT)
    assert windows_boot() == name
    assert (windows.boot(), record_clock._boot()) == (name.hex(), name)
    others = []
    for change in ({"BootId": 58}, {"MachineGuid": "another"}):
        values.update(change)
        others.append(windows_boot())
    monkeypatch.setenv("COMPUTERNAME", "STATION7")
    others.append(windows_boot())
    assert len({name, *others}) == 4


@pytest.mark.parametrize("missing", ["BootId", "MachineGuid"])
def test_where_the_registry_does_not_say_it_has_none(values: dict[str, Any], missing: str) -> None:
    del values[missing]
    assert windows_boot() is None


def test_a_new_process_does_not_count_a_window_from_its_own_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = SqliteLedger(tmp_path / "c.db", pytest.fail)
    one.change(Change(open=Window("w", ("a",), 30.0)), NOTHING)
    one.close()
    now = windows.since_boot()
    monkeypatch.setattr(windows, "monotonic", lambda: now + 31.0)
    other = SqliteLedger(tmp_path / "c.db", pytest.fail)
    assert other.pull(NOTHING).windows == []
    other.close()
