"""The reference says what the code does."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import cli_page
import httpx
import pytest
from prometheus_client import CollectorRegistry

import pywats_cache
from pywats_cache import REASONS, CacheTransport, wats
from pywats_cache.metrics import watch

DOCS = Path(__file__).resolve().parents[2] / "docs"


def test_every_reason_is_documented_with_its_meaning() -> None:
    table = (DOCS / "reference" / "reasons.md").read_text(encoding="utf-8")
    documented = dict(re.findall(r"^\| `([a-z0-9-]+)` \| (.+) \|$", table, re.MULTILINE))
    assert {code: documented.get(code) for code in REASONS} == REASONS


def test_no_relative_link_is_broken() -> None:
    pages = [*DOCS.rglob("*.md"), DOCS.parent / "README.md", DOCS.parent / "CONTRIBUTING.md"]
    broken = [
        (page.name, target)
        for page in pages
        for target in re.findall(r"\]\((?!https?:)([^)\s]+)\)", page.read_text(encoding="utf-8"))
        if not _leads_somewhere(page, target)
    ]
    assert broken == []


def _leads_somewhere(page: Path, target: str) -> bool:
    name, _, anchor = target.partition("#")
    there = page.parent / name if name else page
    if DOCS in page.parents and not there.resolve().is_relative_to(DOCS):
        return False  # in the repository it does, on the site not
    if not there.exists() or not anchor:
        return there.exists()
    titles = re.findall(r"^#+ (.+)$", there.read_text(encoding="utf-8"), re.MULTILINE)
    return anchor in {re.sub(r"[^\w -]", "", title).strip().lower().replace(" ", "-") for title in titles}


def test_everything_public_is_in_the_api_page() -> None:
    shown = set(re.findall(r"^::: .+\.(\w+)$", (DOCS / "reference" / "api.md").read_text("utf-8"), re.MULTILINE))
    shown |= {"REASONS", "__version__", "CachingError", "ConfigurationError", "ConfigurationTypeError", "StorageError"}
    assert set(dir(pywats_cache)) <= shown
    of_the_sdk = {"ROUTES", "Route", "LimitedTransport", "AsyncLimitedTransport"}
    assert set(wats.__all__) - of_the_sdk <= shown


def test_every_metric_is_documented_with_type_and_labels() -> None:
    registry = CollectorRegistry()
    transport = CacheTransport(httpx.MockTransport(lambda request: httpx.Response(200, text="x")))
    watch(transport, registry=registry)
    for method in ("GET", "GET", "PUT", "GET"):
        transport.handle_request(httpx.Request(method, "http://origin/a"))
    exported = {
        family.name + ("_total" if family.type == "counter" else ""): (
            family.type,
            {label for sample in family.samples for label in sample.labels} - {"client"},
        )
        for family in registry.collect()
    }
    table = (DOCS / "reference" / "metrics.md").read_text("utf-8")
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| (.*?) ?\| .+ \|$", table, re.MULTILINE)
    documented = {name: (kind, set(re.findall(r"\w+", labels))) for name, kind, labels in rows}
    # A label whose values come only with failures or evictions has no sample here.
    quiet = {"pywats_cache_fetch_failures_total": {"cause"}, "pywats_cache_evictions_total": {"cause"}}
    assert documented == {name: (kind, labels | quiet.get(name, set())) for name, (kind, labels) in exported.items()}


def test_every_command_and_option_is_documented() -> None:
    page = cli_page.PAGE.read_text("utf-8")
    assert cli_page.rendered(page) == page, "run `python tests/docs/cli_page.py`"


PACKAGE = Path(pywats_cache.__file__).parent
ROOMS = sorted(path.parent for path in PACKAGE.rglob("__init__.py") if path.parent != PACKAGE)


def test_the_map_names_every_package_and_the_root_holds_nothing_else() -> None:
    tree = (DOCS.parent / "CONTRIBUTING.md").read_text("utf-8").split("src/pywats_cache/\n", 1)[1].split("```", 1)[0]
    rooms = set(re.findall(r"(\w+)/(?!\w)", tree)) - {"_pywats_cache_pytest", "wats_simulator"}
    assert rooms == {room.name for room in ROOMS}
    assert {path.name for path in PACKAGE.glob("*.py")} == {
        "__init__.py",
        "_version.py",
        "errors.py",
        "httpx.py",
        "httpx2.py",
    }


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: room.relative_to(PACKAGE).as_posix())
def test_each_package_says_what_it_knows_and_what_it_must_not_know(room: Path) -> None:
    said = ast.get_docstring(ast.parse((room / "__init__.py").read_text("utf-8"))) or ""
    assert re.search(r"^It (knows|reads)\b", said, re.MULTILINE), said
    assert "must not" in said


def test_every_page_is_in_the_navigation() -> None:
    navigation = (DOCS.parent / "zensical.toml").read_text("utf-8").split("nav = [", 1)[1].split("\n]", 1)[0]
    pages = {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")}
    assert set(re.findall(r'"([\w/-]+\.md)"', navigation)) == pages
