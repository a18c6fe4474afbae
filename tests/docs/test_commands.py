"""What the docs tell people to type, import and open is there."""

from __future__ import annotations

import ast
import functools
import importlib
import importlib.util
import inspect
import re
import shlex
from pathlib import Path
from typing import Any

import httpx
import pytest
import requests_cache
from cli_page import commands
from pywats.core import async_client as sdk

import pywats_cache
from benchmarks.__main__ import BY_NAME, NAMES
from pywats_cache import wats
from pywats_cache.metrics import watch
from pywats_cache.policy.directives import Directives
from pywats_cache.web import serve

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
TEXT = {path.relative_to(ROOT).as_posix(): path.read_text("utf-8") for path in PAGES}
PROJECT = (ROOT / "pyproject.toml").read_text("utf-8")
EVERYWHERE = pytest.mark.parametrize("page", TEXT)


def sessions() -> set[str]:
    tree = ast.parse((ROOT / "noxfile.py").read_text("utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.decorator_list}


def extras() -> set[str]:
    table = PROJECT.split("[project.optional-dependencies]", 1)[1].split("\n[", 1)[0]
    return set(re.findall(r"^(\w+) = \[", table, re.MULTILINE))


LOGGERS = {
    name
    for path in (ROOT / "src").rglob("*.py")
    for name in re.findall(r'getLogger\("([\w.]+)"\)', path.read_text("utf-8"))
}


@EVERYWHERE
def test_sessions_exist(page: str) -> None:
    assert set(re.findall(r"(?:nox|noxfile\.py) -s (\w+)", TEXT[page])) <= sessions()


@EVERYWHERE
def test_extras_exist(page: str) -> None:
    named = re.findall(r"(?:pywats-cache|'\.|\be '\.)\[([\w,]+)\]", TEXT[page])
    named += re.findall(r"extra `(\w+)`", TEXT[page])
    assert {extra for group in named for extra in group.split(",")} <= extras()


@EVERYWHERE
def test_commands_and_their_options_exist(page: str) -> None:
    known = commands()
    typed = re.findall(r"^\$ (pywats-cache .+)$|`(pywats-cache [^`]+)`", TEXT[page], re.MULTILINE)
    for line in (first or second for first, second in typed):
        words = shlex.split(line.split("…")[0], comments=True)[1:]
        options = {word.split("=")[0] for word in words if word.startswith("-") and word != "-"}
        if words and not words[0].startswith("-"):
            named = [each for each in known if each in (words[0], " ".join(words[:2]))]
            group = words[1:] in ([], ["show|check|set|sample"]) and f"{words[0]} show" in known
            assert named or group, line
            options -= {option for each in named for parameter in known[each].params for option in parameter.opts}
        assert options <= {"--version", "--help", "--install-completion"}, line


@EVERYWHERE
def test_modules_that_are_run_exist(page: str) -> None:
    for module, rest in re.findall(r"python -m ([\w.]+)((?: \w+)*)", TEXT[page]):
        assert importlib.util.find_spec(module) is not None, module
        if module == "benchmarks":
            assert set(rest.split()) <= {*NAMES, *BY_NAME, "quick", "quote", "compare"}, rest


@EVERYWHERE
def test_files_that_are_named_exist(page: str) -> None:
    tops = "benchmarks|docs|examples|src|tests"
    for named in re.findall(rf"`((?:{tops})/[\w./-]*|[\w/]+\.(?:md|toml))`", TEXT[page]):
        assert (ROOT / named).exists(), named


@EVERYWHERE
def test_names_of_the_package_exist(page: str) -> None:
    for dotted in set(re.findall(r"`(pywats_cache(?:\.\w+)+)", TEXT[page])) - {"pywats_cache.status"}:  # of a span
        assert dotted in LOGGERS or _resolves(dotted), dotted


def _resolves(dotted: str) -> bool:
    """A module, or a name in one; one that loads lazily is not loaded, for it may need an extra."""
    owner, _, name = dotted.rpartition(".")
    module = importlib.import_module(owner)
    if hasattr(module, "__path__") and importlib.util.find_spec(dotted):
        return True
    return name in getattr(module, "_LAZY", {}) or hasattr(module, name)


@EVERYWHERE
def test_parameters_that_are_named_exist(page: str) -> None:
    prose = re.sub(r"^```.*?^```", "", TEXT[page], flags=re.MULTILINE | re.DOTALL)
    known = parameters()
    for code in re.findall(r"`([^`\n]+)`", prose):
        for name in re.findall(r"(?<![\w&?-])([a-z]\w*)=(?!=)", code):
            assert name in known, code


@functools.cache
def parameters() -> set[str]:
    """Those of everything public here, of httpx's clients, and of those that a page compares with or moves from."""
    mine: list[Any] = [getattr(pywats_cache, name) for name in dir(pywats_cache)]
    mine += [getattr(wats, name) for name in wats.__all__]
    transport = pywats_cache.CacheTransport
    mine += [Directives, watch, serve, transport.invalidate, transport.warm]
    theirs = [httpx.Client, httpx.Client.request, httpx.HTTPTransport]
    theirs += [requests_cache.CachedSession, requests_cache.CachedSession.request]
    theirs += [requests_cache.backends.BaseCache.delete, sdk.AsyncHttpClient]
    found = {name for each in mine + theirs if _takes_any(each) for name in inspect.signature(each).parameters}
    hishels = {"rfc", "shared", "supported_methods", "allow_stale", "database_path", "default_ttl"}
    return found | hishels | {"cache", "backend"}  # by **options: the SDK's get, requests-cache's session


def _takes_any(each: Any) -> bool:
    return callable(each) and not (inspect.isclass(each) and issubclass(each, BaseException))
