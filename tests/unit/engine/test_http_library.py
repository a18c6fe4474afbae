"""The private names of httpx: all are listed, those listed are used, and the installed libraries have them."""

from __future__ import annotations

import ast
import datetime
import importlib
import types
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import pywats_cache
from pywats_cache.engine.http_library import content_of, put, raw_of, remove, set_elapsed
from pywats_cache.engine.private_names import ON_A_HIT, PRIVATE, PrivateName

PACKAGE = Path(pywats_cache.__file__).parent
NAMES = {item.name for item in PRIVATE if item.name.startswith("_")}
FUNCTIONS = "engine.http_library"
LISTS = ("engine.private_names", "support.http_types")
"""The list itself, and the types of what is on it."""

SUBCLASSES = ("transport.cached_response", "transport.incoming", "transport.client", "wats.transports")
"""The modules whose classes are subclasses of the library's, so that `self` has its names."""

OTHERS = {
    ("wats.limiting", "_base_url"): "a slot of Call",
    ("wats.limiting", "_state"): "of the SDK's circuit breaker",
    ("wats.http_call", "_request"): "a step of the SDK's HTTP client",
    ("wats.service.reload", "_headers"): "of the SDK's HTTP client",
    ("wats.service.reload", "_base_url"): "of the SDK",
    ("storage.hishel_adapter", "_expires_at"): "of hishel's storages",
    ("storage.redis.connections", "_checkpid"): "of redis-py's pools",
}
"""Private names that are not httpx's."""


def trees() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        yield ".".join(part for part in parts if part != "__init__"), ast.parse(path.read_text("utf-8"))


def named(node: ast.AST, module: str) -> str | None:
    """The name that this node reads, sets, overrides or asks for; what is our own `self`'s is not the library's."""
    is_subclass = module.startswith(SUBCLASSES)
    if isinstance(node, ast.Attribute):
        return node.attr if is_subclass or ast.unparse(node.value) != "self" else None
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        return node.name if is_subclass else None
    if isinstance(node, ast.keyword):
        return node.arg
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    return None


def touches(place: str, tree: ast.AST, names: set[str]) -> Iterator[tuple[str, str]]:
    """Where (module, class and function) which of these names is touched."""
    for node in ast.iter_child_nodes(tree):
        name = named(node, place)
        if name in names:
            yield place, name
        scope = isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))
        yield from touches(f"{place}.{node.name}" if scope else place, node, names)


def lies_in(place: str, within: str) -> bool:
    return place == within or place.startswith(f"{within}.")


def is_of_another(place: str, name: str) -> bool:
    return any(name == other and lies_in(place, module) for module, other in OTHERS)


@pytest.fixture(scope="module")
def touched() -> set[tuple[str, str]]:
    """What is touched of the list."""
    found = {touch for module, tree in trees() for touch in touches(module, tree, NAMES) if touch[0] != FUNCTIONS}
    return {
        touch for touch in found if not is_of_another(*touch) and not any(lies_in(touch[0], module) for module in LISTS)
    }


def test_every_read_of_a_private_name_is_listed(touched: set[tuple[str, str]]) -> None:
    listed = [(item.name, reader) for item in PRIVATE for reader in item.readers]
    unlisted = {
        (place, name)
        for place, name in touched
        if not any(name == other and lies_in(place, reader) for other, reader in listed)
    }
    assert not unlisted, "add the place to PRIVATE, or read the name by a function of http_library"


def test_every_place_listed_reads_the_name(touched: set[tuple[str, str]]) -> None:
    for item in PRIVATE:
        if item.name in NAMES:
            for reader in item.readers:
                assert any(name == item.name and lies_in(place, reader) for place, name in touched), (item.name, reader)


def test_only_the_functions_of_a_hit_read_one_themselves(touched: set[tuple[str, str]]) -> None:
    here = (FUNCTIONS, *SUBCLASSES)
    elsewhere = {place for place, _ in touched if not any(lies_in(place, module) for module in here)}
    elsewhere -= {"transport.ordinary_way"}  # the table of the steps that the guard looks at
    assert elsewhere == ON_A_HIT


def test_a_private_name_that_is_not_listed_is_one_of_ours() -> None:
    ours = {"_replace", "_asdict", "_fields"}  # of a NamedTuple, which documents them
    attributes: set[tuple[str, str]] = set()
    for module, tree in trees():
        for node in ast.walk(tree):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                ours.add(node.name)
            elif isinstance(node, ast.Attribute):
                attributes.add((module, node.attr))
                if isinstance(node.ctx, ast.Store) and ast.unparse(node.value) == "self":
                    ours.add(node.attr)
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                ours.add(node.id)
    unknown = {
        (module, name)
        for module, name in attributes
        if name.startswith("_") and not name.startswith("__") and name not in ours | NAMES
        if not is_of_another(module, name)
        if not module.startswith("wats") or module.startswith(SUBCLASSES)  # which reads private names of the SDK
    }
    assert not unknown, "a private name of httpx belongs in PRIVATE"


def test_every_private_module_of_the_library_that_is_imported_is_listed() -> None:
    listed = {(item.owner, item.name) for item in PRIVATE}
    imported = {
        (node.module.split(".", 1)[1], alias.name)
        for _, tree in trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith(("httpx._", "httpx2._"))
        for alias in node.names
    }
    assert imported == {(owner, name) for owner, name in listed if owner in ("_client", "_content", "_types")}


# ── the installed libraries ───────────────────────────────────────────────────────────────────────────────────────────


def examples(library: Any) -> dict[str, list[object]]:
    """One of each owner, as our code meets it: most private names are set by `__init__`."""
    request = library.Request("GET", "https://wats.example/a")
    clients = [library.Client(), library.AsyncClient()]
    return {
        "Headers": [library.Headers()],
        "URL": [request.url],
        "_urlparse.ParseResult": [getattr(request.url, "_uri_reference", None)],
        "Request": [request],
        "Response": [answered(library, request)],
        "ByteStream": [library.ByteStream(b"")],
        "Client": clients,
        "Cookies.jar": [library.Cookies().jar],
        "_client": [importlib.import_module(f"{library.__name__}._client")],
        "_content": [importlib.import_module(f"{library.__name__}._content")],
        "_types": [importlib.import_module(f"{library.__name__}._types")],
    }


def answered(library: Any, request: object) -> object:
    """A response as it is when a client has handed it out, which sets its `elapsed`."""
    response = library.Response(200, content=b"a", request=request)
    response.elapsed = datetime.timedelta(0)
    return response


def missing(library: Any) -> list[str]:
    """What this library no longer has of what we read, and what that was for."""
    has = examples(library)
    version = f"{library.__name__} {library.__version__}"
    return [
        f"{version} no longer has {item.owner}.{item.name}: it is read by {', '.join(item.readers)} for {item.purpose}"
        for item in PRIVATE
        if not all(hasattr(one, item.name) for one in has[item.owner])
    ]


@pytest.mark.parametrize("library", ["httpx", "httpx2"])
def test_the_library_has_every_private_name(library: str) -> None:
    assert missing(importlib.import_module(library)) == []


@pytest.mark.parametrize("library", ["httpx", "httpx2"])
def test_a_private_name_that_a_library_drops_is_told_with_what_it_was_for(library: str) -> None:
    real = importlib.import_module(library)

    class Headers:
        """What a new version might make of it."""

        _encoding = None

    newer = types.ModuleType(library)
    newer.__dict__.update({name: getattr(real, name) for name in real.__all__}, Headers=Headers, __version__="9.0")
    (said,) = missing(newer)
    assert said.startswith(f"{library} 9.0 no longer has Headers._list: it is read by engine.http_library, ")
    assert said.endswith("for every header field as its bytes, which decide keys, freshness and storing")


def test_a_name_has_one_entry_for_each_owner() -> None:
    assert len({(item.owner, item.name) for item in PRIVATE}) == len(PRIVATE)
    assert all(isinstance(item, PrivateName) and item.readers and item.purpose for item in PRIVATE)


# ── the functions ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("library", ["httpx", "httpx2"])
def test_a_body_is_known_once_it_was_read(library: str) -> None:
    made: Any = importlib.import_module(library)
    read, streamed = made.Response(200, content=b"a"), made.Response(200, content=iter([b"a"]))
    assert (content_of(read), raw_of(read.stream)) == (b"a", b"a")
    assert (content_of(streamed), raw_of(streamed.stream)) == (None, None)
    assert content_of(made.Request("POST", "https://wats.example", content=iter([b"a"]))) is None


def test_only_a_response_made_here_is_told_how_long_it_took() -> None:
    made, received = SimpleNamespace(_elapsed=None), SimpleNamespace()
    set_elapsed(made, 1.5)
    set_elapsed(received, 1.5)
    assert made._elapsed.total_seconds() == 1.5
    assert not vars(received)


def test_a_field_is_set_in_its_place_and_can_be_read(lib: SimpleNamespace) -> None:
    headers = lib.http.Headers([(b"A", b"1"), (b"B", b"2"), (b"a", b"3")])
    assert headers.encoding == "ascii"
    put(headers, b"A", b"\xe9")
    put(headers, b"C", b"4")
    assert headers.raw == [(b"A", b"\xe9"), (b"B", b"2"), (b"C", b"4")]
    assert headers["a"] == "\xe9"
    remove(headers, [b"a", b"c"])
    assert headers.raw == [(b"B", b"2")]
