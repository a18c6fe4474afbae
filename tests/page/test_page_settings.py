"""The part of the page that sets the service: behind the token, in words, below a path, on a phone."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("uvicorn")

import httpx
from browser import Browser, executable

from pywats_cache import CacheClient
from pywats_cache.web import Guard, Listener, Subject, build_app
from pywats_cache.web.prefix import Prefixed
from pywats_cache.web.settings import SettingsError

pytestmark = pytest.mark.skipif(executable() is None or os.name != "posix", reason="needs Chromium")

ALLOWED = {
    "enable_cache": True,
    "cache_ttl_seconds": 300,
    "cache_max_size": 1000,
    "cache_storage_url": None,  # it holds a password
    "cache_offline": "auto",
}


class Station:
    """Settings without a file, which the station service has."""

    def __init__(self) -> None:
        self.values = dict(ALLOWED)
        self.version = 1
        self.asked: list[Any] = []

    async def document(self) -> dict[str, Any]:
        fields = [
            {
                "name": name,
                "value": value,
                "shown": "redis://host/0" if value is None else str(value),
                "hidden": value is None,
                "what": f"What {name} is.",
                "allowed": "this and that",
            }
            for name, value in self.values.items()
        ]
        return {"fields": fields, "notes": ["Nothing needs a restart."], "file": "c.json", "version": str(self.version)}

    async def change(self, changes: dict[str, Any], version: str | None) -> dict[str, Any]:
        self.asked.append(changes)
        if version != str(self.version):
            raise SettingsError("Another program has changed the settings.", status=409)
        if changes.get("cache_ttl_seconds") == "abc":
            raise SettingsError("cache_ttl_seconds must be a number of seconds", "cache_ttl_seconds")
        self.values.update(changes)
        self.version += 1
        return {**(await self.document()), "changed": list(changes), "text": "Saved and applied. The cache is new."}


@pytest.fixture(scope="module")
def started() -> Iterator[Browser]:
    with Browser() as browser:
        yield browser


@pytest.fixture
def browser(started: Browser) -> Browser:
    started.size(1200, 900)
    started.open("about:blank#")
    started.requests.clear()
    started.complaints.clear()
    return started


@pytest.fixture
def station() -> Station:
    return Station()


@pytest.fixture
def url(station: Station) -> Iterator[str]:
    transport = httpx.MockTransport(lambda request: httpx.Response(200))
    with CacheClient(transport=transport, base_url="http://wats.example") as client:
        subject = Subject(client, "station 7", elsewhere=True)
        app = build_app(lambda: subject, Guard(token="hush"), settings=station)
        listener = Listener(Prefixed(app, lambda: "/station7"), 0)
        listener.start_thread()
        try:
            yield f"{listener.url}/station7"
        finally:
            listener.stop_thread()


def at(name: str) -> str:
    return f"document.getElementById('{name}')"


def opened(browser: Browser, url: str, token: str = "hush") -> None:
    browser.open(f"{url}/#token={token}" if token else f"{url}/")
    if not token:
        browser.run("sessionStorage.clear()")
        browser.open("about:blank")
        browser.open(f"{url}/")
    browser.until(f"!{at('settings-part')}.hidden")


def filled(browser: Browser) -> None:
    browser.until(f"!{at('settings')}.hidden && {at('cache_max_size')}.value !== ''")


def test_without_a_token_nothing_is_shown_and_the_field_for_it_is_pointed_to(
    browser: Browser, url: str, station: Station
) -> None:
    opened(browser, url, token="")
    assert browser.run(f"{at('settings')}.hidden") is True
    browser.run(f"{at('enter-token')}.click()")
    assert browser.run("document.activeElement.id") == "token"
    assert browser.run(f"{at('token')}.getAttribute('aria-invalid')") == "true"
    assert [asked for asked in browser.requests if "settings" in asked and not asked.endswith(".js")] == []
    assert browser.complaints == []
    browser.run(f"{at('token')}.focus()")
    browser.type("hush")
    browser.press("Tab")
    filled(browser)
    assert browser.run(f"{at('token')}.getAttribute('aria-invalid')") is None
    browser.run(f"{at('token')}.value = ''")
    browser.run(f"{at('cache_max_size')}.value = '5'")
    browser.run(f"{at('save')}.click()")
    assert browser.run(f"{at('settings-result')}.textContent") == "Enter the token first."
    assert browser.run("document.activeElement.id") == "token"
    assert station.asked == []


def test_what_was_altered_is_saved_and_said_in_words(browser: Browser, url: str, station: Station) -> None:
    opened(browser, url)
    filled(browser)
    assert browser.run("location.pathname") == "/station7/cache"
    assert browser.run(f"{at('cache_ttl_seconds')}.value") == "300"
    assert browser.run(f"{at('cache_storage_url')}.value") == ""
    assert "redis://host/0" in browser.run(f"{at('cache_storage_url')}.placeholder")
    assert "Left empty, it stays" in browser.run(f"{at('cache_storage_url-what')}.textContent")
    assert "restart" in browser.run(f"{at('settings-file')}.textContent")
    browser.run(f"{at('save')}.click()")
    assert browser.run(f"{at('settings-result')}.textContent") == "Nothing was changed."
    browser.run(f"{at('cache_ttl_seconds')}.value = '60'")
    browser.run(f"{at('enable_cache')}.click()")
    browser.run(f"{at('cache_offline')}.value = 'only'")
    browser.run(f"{at('save')}.click()")
    browser.until(f"{at('settings-result')}.textContent.startsWith('Saved and applied')")
    assert station.asked == [{"enable_cache": False, "cache_ttl_seconds": "60", "cache_offline": "only"}]
    assert all(asked.startswith((url, "data:", "about:")) for asked in browser.requests)
    assert browser.complaints == []


def test_a_bad_value_and_a_change_of_others_are_told_of(browser: Browser, url: str, station: Station) -> None:
    opened(browser, url)
    filled(browser)
    browser.run(f"{at('cache_ttl_seconds')}.value = 'abc'")
    browser.run(f"{at('save')}.click()")
    browser.until(f"{at('settings-result')}.textContent.includes('must be a number of seconds')")
    assert browser.run("document.activeElement.id") == "cache_ttl_seconds"
    assert browser.run(f"{at('cache_ttl_seconds')}.value") == "abc"
    browser.run(f"{at('cache_ttl_seconds')}.value = '60'")
    station.version += 1
    station.values["cache_max_size"] = 7
    browser.run(f"{at('save')}.click()")
    browser.until(f"{at('settings-result')}.textContent.includes('Another program')")
    browser.run(f"{at('undo')}.click()")
    browser.until(f"{at('cache_max_size')}.value === '7'")
    assert browser.run(f"{at('cache_ttl_seconds')}.value") == "300"
    assert browser.run(f"{at('cache_ttl_seconds')}.getAttribute('aria-invalid')") is None


def test_a_wrong_token_shows_nothing(browser: Browser, url: str, station: Station) -> None:
    opened(browser, url, token="wrong")
    browser.until(f"{at('settings-result')}.textContent.includes('need the token')")
    assert browser.run(f"{at('settings')}.hidden") is True


@pytest.mark.parametrize("width", [320, 390])
def test_it_fits_a_phone(browser: Browser, url: str, width: int) -> None:
    browser.size(width, 700, mobile=True)
    opened(browser, url)
    filled(browser)
    assert browser.run("document.documentElement.scrollWidth") <= width
    inputs = "'#settings button, #settings select, #settings input:not([type=checkbox])'"
    heights = f"[...document.querySelectorAll({inputs})].map(each => each.offsetHeight)"
    assert browser.run(f"Math.min(...{heights})") >= 32
    assert browser.run(f"{at('cache_ttl_seconds')}.labels.length") == 1


def test_it_works_by_keyboard(browser: Browser, url: str, station: Station) -> None:
    opened(browser, url)
    filled(browser)
    browser.run(f"{at('cache_max_size')}.focus()")
    browser.type("5")
    browser.press("Enter")
    browser.until(f"{at('settings-result')}.textContent.startsWith('Saved')")
    assert station.asked == [{"cache_max_size": "10005"}]
