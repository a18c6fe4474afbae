"""The page in a real browser: what it shows, that it asks nobody else, and who may change something.

Needs Chromium (Debian: `apt-get install chromium`); nox session `page`. With `PYWATS_CACHE_SCREENSHOT=folder` the
screenshots for the docs are written there.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

pytest.importorskip("uvicorn")

from browser import Browser, executable

from pywats_cache import CacheClient, Controller, Read, Write
from pywats_cache.web import serve

pytestmark = pytest.mark.skipif(executable() is None or os.name != "posix", reason="needs Chromium")

TOKEN = "hush"
CONTROLLER = Controller(
    [
        Read("/api/Product/**", ttl=60, tags=("product",)),
        Read("/api/Process/**", ttl=60, tags=("process",)),
        Write("/api/Product/**"),
    ],
    ttl=30,
)


class Traffic:
    """A cached client and what it was asked."""

    def __init__(self) -> None:
        transport = httpx.MockTransport(lambda request: httpx.Response(200, text="x" * 2000))
        self.client = CacheClient(transport=transport, base_url="http://wats.example", controller=CONTROLLER)

    def some(self, rounds: int = 1) -> None:
        for n in range(rounds):
            for path in ("Product/1", "Product/1", "Product/2", "Process/all", "Product/1", f"Product/{10 + n}"):
                self.client.get(f"/api/{path}", headers={"Authorization": "Basic c2VjcmV0"})
            self.client.get("/somewhere")


@pytest.fixture
def traffic() -> Iterator[Traffic]:
    traffic = Traffic()
    yield traffic
    traffic.client.close()


@pytest.fixture
def url(traffic: Traffic) -> Iterator[str]:
    listener = serve(traffic.client, port=0, name="station 7", token=TOKEN)
    yield listener.url
    listener.stop_thread()


@pytest.fixture(scope="module")
def started() -> Iterator[Browser]:
    with Browser() as browser:
        yield browser


@pytest.fixture
def browser(started: Browser) -> Browser:
    started.size(1200, 900)
    started.scheme("light")
    started.open("about:blank#")
    started.requests.clear()
    started.complaints.clear()
    return started


def status(traffic: Traffic, path: str = "/api/Product/1") -> str:
    request = traffic.client.build_request("GET", path, headers={"Authorization": "Basic c2VjcmV0"})
    return traffic.client.cache.explain(request).reason


def text(browser: Browser, name: str) -> str:
    found: str = browser.run(f"document.getElementById('{name}').textContent")
    return found


def live(browser: Browser, url: str, fragment: str = "") -> None:
    browser.open(f"{url}/cache{fragment}")
    browser.until("document.getElementById('state').textContent.startsWith('live')")


def test_it_shows_the_figures_and_follows_them(browser: Browser, url: str, traffic: Traffic) -> None:
    traffic.some()
    live(browser, url)
    stats = traffic.client.cache.stats
    assert text(browser, "client") == "station 7"
    assert text(browser, "rate") == f"{stats.hit_rate * 100:.1f} %"
    assert text(browser, "requests") == str(stats.requests) == "7"
    assert text(browser, "memory-note").startswith("of 64.0 MiB; 5 of 1,000 entries")
    rules = browser.run("[...document.querySelectorAll('#routes tr')].map(row => row.cells[0].textContent)")
    assert rules[0] == "/api/Product/**"
    assert sorted(rules) == ["/api/Process/**", "/api/Product/**", "default"]
    traffic.some(3)
    traffic.client.put("/api/Product/1")
    requests = traffic.client.cache.stats.requests
    browser.until(f"document.getElementById('requests').textContent === '{requests}'")
    browser.until("document.querySelectorAll('#rate-plot .mark').length > 0")
    browser.until("document.querySelectorAll('#outcome-plot rect').length > 1")
    first = browser.run("[...document.querySelectorAll('#events tr')].slice(0, 2).map(row => row.innerText)")
    assert "PUT bypass" in first[0]
    assert "an unsafe method" in first[0]
    assert "invalidation" in first[1]
    assert "1 invalidation" in browser.run("document.getElementById('rate-plot').getAttribute('aria-label')")
    assert "c2VjcmV0" not in browser.run("document.documentElement.outerHTML")


def test_it_asks_nobody_but_the_service(browser: Browser, url: str, traffic: Traffic) -> None:
    traffic.some()
    live(browser, url)
    count = browser.run("performance.getEntriesByType('resource').length")
    browser.until(f"performance.getEntriesByType('resource').length > {count}")
    assert len(browser.requests) >= 5
    assert [asked for asked in browser.requests if not asked.startswith((url, "data:", "about:"))] == []
    assert browser.complaints == []
    served = httpx.get(f"{url}/cache", trust_env=False)
    assert "default-src 'none'" in served.headers["content-security-policy"]
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", served.text)


def test_changes_need_the_token(browser: Browser, url: str, traffic: Traffic) -> None:
    traffic.some()
    live(browser, url)
    browser.run("document.getElementById('path').value = '/api/Product'")
    browser.run("document.getElementById('invalidate').click()")
    browser.until("document.getElementById('result').textContent.startsWith('refused')")
    assert status(traffic) == "fresh"
    browser.open("about:blank")
    live(browser, url, f"#token={TOKEN}")
    assert browser.run("location.hash") == ""
    browser.run("document.getElementById('path').value = '/api/Product'")
    browser.run("document.getElementById('invalidate').click()")
    browser.until("document.getElementById('result').textContent.startsWith('done')")
    assert status(traffic) == "dirtied"
    assert status(traffic, "/api/Process/all") == "fresh"
    browser.run("document.getElementById('path').value = ''")
    browser.run("document.getElementById('tag').value = 'process'")
    browser.run("document.getElementById('result').textContent = ''")
    browser.run("document.getElementById('invalidate').click()")
    browser.until("document.getElementById('result').textContent.startsWith('done')")
    assert status(traffic, "/api/Process/all") == "dirtied"


def test_a_page_of_another_site_can_do_nothing(browser: Browser, url: str, traffic: Traffic) -> None:
    traffic.some()
    other = serve(traffic.client, port=0, token="other")  # another origin
    try:
        live(browser, other.url)
        browser.run("document.querySelector('meta[name=color-scheme]').remove()")
        for headers in ("{}", f"{{Authorization: 'Bearer {TOKEN}'}}"):
            for mode in ("cors", "no-cors"):
                browser.run(
                    f"fetch('{url}/cache/clear', {{method: 'POST', mode: '{mode}', headers: {headers}}}).catch(() => 0)"
                    ".then(() => 0)"
                )
        # The own policy of that page forbids it too; so does the service, asked as another site's page would ask.
        headers = {"Authorization": f"Bearer {TOKEN}", "Origin": other.url, "Sec-Fetch-Site": "same-site"}
        assert httpx.post(f"{url}/cache/clear", headers=headers, trust_env=False).status_code == 403
    finally:
        other.stop_thread()
    assert traffic.client.cache.stats.entries == 5


def test_it_works_by_keyboard(browser: Browser, url: str, traffic: Traffic) -> None:
    traffic.some()
    live(browser, url, f"#token={TOKEN}")
    seen = []
    for _ in range(12):
        browser.press("Tab")
        name = browser.run(
            "document.activeElement.id || document.activeElement.className || document.activeElement.tagName"
        )
        seen.append(name)
        outline = browser.run("getComputedStyle(document.activeElement).outlineStyle")
        assert outline != "none", name
        if name == "clear":
            break
    assert seen == ["skip", "pause", "scroll", "token", "path", "tag", "soft", "invalidate", "clear"]
    browser.press("Enter")
    browser.until("document.getElementById('sure').open")
    browser.press("Escape")
    browser.until("!document.getElementById('sure').open")
    assert traffic.client.cache.stats.entries == 5
    browser.press("Enter")
    browser.until("document.getElementById('sure').open")
    browser.press("Tab")
    browser.press("Enter")
    browser.until("document.getElementById('result').textContent.startsWith('done')")
    assert traffic.client.cache.stats.entries == 0
    browser.run("document.getElementById('path').focus()")
    browser.type("/api/Product")
    browser.run("document.getElementById('result').textContent = ''")
    browser.press("Enter")
    browser.until("document.getElementById('result').textContent.startsWith('done')")


def test_pausing_stops_the_questions(browser: Browser, url: str, traffic: Traffic) -> None:
    live(browser, url)
    browser.run("document.getElementById('pause').click()")
    browser.until("document.getElementById('state').textContent === 'paused'")
    assert browser.run("document.getElementById('pause').getAttribute('aria-pressed')") == "true"
    browser.run("document.getElementById('pause').click()")
    browser.until("document.getElementById('state').textContent.startsWith('live')")


@pytest.mark.parametrize("width", [320, 390])
def test_it_fits_a_phone(browser: Browser, url: str, traffic: Traffic, width: int) -> None:
    traffic.some(3)
    browser.size(width, 700, mobile=True)
    live(browser, url)
    assert browser.run("document.documentElement.scrollWidth") <= width
    assert browser.run("Math.min(...[...document.querySelectorAll('button')].filter(b => b.offsetHeight)"
        ".map(b => b.offsetHeight))") >= 36  # fmt: skip


CONTRAST = """
(() => {
  const light = color => {
    const [r, g, b] = color.match(/[\\d.]+/g).map(Number).slice(0, 3).map(part => {
      part /= 255;
      return part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = element => {
    for (; element; element = element.parentElement) {
      const color = getComputedStyle(element).backgroundColor;
      if (!color.startsWith("rgba(0, 0, 0, 0")) return color;
    }
    return "rgb(255, 255, 255)";
  };
  const found = [];
  for (const element of document.querySelectorAll("h1, h1 span, h2, small, p, th, td, span, label, button, li")) {
    if (!element.textContent.trim() || !element.offsetHeight) continue;
    const [a, b] = [light(getComputedStyle(element).color), light(behind(element))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < 4.5) found.push(`${element.tagName} ${element.textContent.slice(0, 20)} ${ratio.toFixed(2)}`);
  }
  return found;
})()
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_can_be_read_in_light_and_dark(
    browser: Browser, url: str, traffic: Traffic, scheme: str, tmp_path: Path
) -> None:
    browser.scheme(scheme)
    browser.size(1200, 1100)
    live(browser, url)
    for _ in range(3):
        traffic.some(5)
        traffic.client.put("/api/Product/1")
        browser.until(f"document.getElementById('requests').textContent === '{traffic.client.cache.stats.requests}'")
    assert browser.run(CONTRAST) == []
    back = browser.run("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", back))) < 200) == (scheme == "dark")
    folder = Path(os.environ.get("PYWATS_CACHE_SCREENSHOT", tmp_path))
    browser.screenshot(folder / f"page-{scheme}.png")
    assert (folder / f"page-{scheme}.png").stat().st_size > 10_000


def test_it_says_when_the_service_is_gone(browser: Browser, traffic: Traffic) -> None:
    listener = serve(traffic.client, port=0)
    live(browser, listener.url)
    listener.stop_thread()
    browser.until("document.getElementById('state').textContent.startsWith('the service does not answer')")


def test_every_outcome_has_a_colour() -> None:
    from pywats_cache.web import page

    style = (Path(page.__file__).parent / "static" / "page.css").read_text("utf-8")
    names: Any = ("hit", "stale", "revalidated", "collapsed", "miss", "bypass", "error", "invalidation")
    for name in names:
        assert style.count(f"--{name}:") == 2
