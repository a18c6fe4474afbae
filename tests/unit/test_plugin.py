"""The fixtures that installing the package gives to pytest."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pywats_cache.testing import FakeClock

Check = Callable[[Any], None]


def test_the_fixtures_tell_a_hit_from_a_miss(
    lib: SimpleNamespace, origin: Any, cache_clock: FakeClock, assert_cached: Check, assert_not_cached: Check
) -> None:
    with lib.CacheClient(transport=origin.transport, clock=cache_clock, base_url="http://origin") as client:
        first = client.get("/a")
        assert_not_cached(first)
        with pytest.raises(pytest.fail.Exception, match="miss, because 'unknown'"):
            assert_cached(first)
        second = client.get("/a")
        assert_cached(second)
        with pytest.raises(pytest.fail.Exception, match="hit, because 'fresh'"):
            assert_not_cached(second)
        cache_clock.advance(301)
        assert_not_cached(client.get("/a"))


def test_a_response_without_a_cache_is_no_miss(lib: SimpleNamespace, origin: Any, assert_not_cached: Check) -> None:
    with (
        lib.http.Client(transport=origin.transport) as client,
        pytest.raises(pytest.fail.Exception, match="did not come through a cache"),
    ):
        assert_not_cached(client.get("http://origin/a"))


def test_what_is_no_response_is_named(assert_cached: Check) -> None:
    with pytest.raises(pytest.fail.Exception, match="'product' did not come through a cache"):
        assert_cached("product")


def run_pytest(folder: Path) -> str:
    """Run pytest in `folder` with the plugin that the entry point names, and no other; what it said."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "_pywats_cache_pytest"],
        cwd=folder,
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        encoding="utf-8",
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_run_that_uses_no_fixture_does_not_load_the_package(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(
        "import sys\ndef test_it():\n    assert not {'pywats_cache', 'httpx', 'hishel'} & {*sys.modules}\n", "utf-8"
    )
    assert "1 passed" in run_pytest(tmp_path)


def test_naming_the_plugin_in_a_conftest_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["pywats_cache.testing.plugin"]\n', "utf-8")
    (tmp_path / "test_it.py").write_text("def test_it(cache_clock):\n    assert cache_clock() == 1000.0\n", "utf-8")
    assert "1 passed" in run_pytest(tmp_path)
