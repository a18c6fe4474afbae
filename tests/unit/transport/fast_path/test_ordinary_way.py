"""What the libraries run on a hit in the ordinary way, step by step, and why a lookup may leave each step out.

A release of httpx or httpx2 with a step that is not listed here fails the test that enumerates them.
"""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable, Iterator
from types import FrameType, SimpleNamespace
from typing import Any

import pytest

from pywats_cache.transport.ordinary_way import CLIENT_STEPS

# ── why a step may be left out ────────────────────────────────────────────────────────────────────────────────────────

GUARDED = "looked at on each hit: a lookup answers only where this is the library's own"
BUILT_ONCE = (
    "makes the request of these arguments: done at their first call, and again once anything of the client changed"
)
LAZY = "the request of a looked-up response, made when somebody asks for it"
NO_AUTH = "has an effect with auth or userinfo only, where no lookup answers"
NO_COOKIES = (
    "has an effect with cookies only: of the jar, where no lookup answers, or of answers, which are not looked up"
)
NO_LOG = "is for the INFO log only, and no lookup answers while that is on"
BORN_READ = "is about a body that is yet to be read, and a looked-up response is born read"
OURS = "asks a response of this package, whose class answers it"

REVIEWED: dict[str, str] = {
    **dict.fromkeys(["get", "request", "send"], GUARDED),
    **dict.fromkeys(["_send_handling_auth", "_send_handling_redirects", "_send_single_request"], GUARDED),
    "_transport_for_url": GUARDED,
    **{f"BaseClient.{name}": GUARDED for name in ("build_request", "_build_request_auth", "_set_timeout")},
    **{f"BaseClient._merge_{name}": GUARDED for name in ("cookies", "headers", "queryparams", "url")},
    **{f"BaseClient.{name}": GUARDED for name in ("base_url", "cookies", "headers", "params", "timeout")},
    **dict.fromkeys(["auth_flow", "sync_auth_flow", "async_auth_flow"], NO_AUTH),
    **dict.fromkeys(["URL.username", "URL.password"], NO_AUTH),
    **dict.fromkeys(["Cookies.__bool__", "Cookies.extract_cookies", "Cookies.set_cookie_header"], NO_COOKIES),
    **{f"_CookieCompat{name}": NO_COOKIES for name in ("Request.__init__", "Response.__init__", "Response.info")},
    **dict.fromkeys(["Response.http_version", "URL.__str__", "ParseResult.__str__"], NO_LOG),
    **dict.fromkeys(["ByteStream.__init__", "ByteStream.__iter__", "Request.read"], BORN_READ),
    **dict.fromkeys(["BoundSyncStream.__init__", "BoundAsyncStream.__init__"], BORN_READ),
    **{f"Request.{name}": BUILT_ONCE for name in ("__init__", "_prepare")},
    **dict.fromkeys(["Timeout.__init__", "Timeout.as_dict"], BUILT_ONCE),
    **{f"Headers.{name}": BUILT_ONCE for name in ("__init__", "__contains__", "__getitem__", "get", "keys", "raw")},
    **{f"Headers.{name}": BUILT_ONCE for name in ("encoding", "update")},
    **dict.fromkeys(["_normalize_header_key", "_normalize_header_value"], BUILT_ONCE),
    **{f"QueryParams.{name}": BUILT_ONCE for name in ("__bool__", "__init__", "__str__", "merge", "multi_items")},
    "primitive_value_to_str": BUILT_ONCE,
    **{f"URL.{name}": BUILT_ONCE for name in ("__init__", "copy_with", "host", "netloc", "raw_path")},
    **{f"URL.is_{name}_url": BUILT_ONCE for name in ("absolute", "relative")},
    **{f"ParseResult.{name}": BUILT_ONCE for name in ("authority", "copy_with", "netloc")},
    **{f"{name}": BUILT_ONCE for name in ("urlparse", "encode_host", "normalize_path", "normalize_port", "quote")},
    **{f"{name}": BUILT_ONCE for name in ("percent_encoded", "PERCENT", "validate_path", "encode_request")},
    "get_multipart_boundary_from_content_type": BUILT_ONCE,
    "request_context": "names the request in errors of the transport, and a lookup raises none",
    "Response.request": LAZY,
}

NEW = """\
{library} runs steps on a hit that nobody has reviewed: {steps}.
A lookup (`pywats_cache.transport.fast_path`) leaves out whatever a client does on a hit.
Find out of each whether that is right:
- it has no effect on a hit: say why in REVIEWED;
- a subclass or a tracing tool may replace it: put it into `CLIENT_STEPS` and `OrdinaryWay._may_answer`;
- it has an effect, for which a lookup must not answer: make sure of that in `OrdinaryWay._may_answer`."""


def home(library: Any) -> str:
    return os.path.dirname(str(library.__file__)) + os.sep


def name_of(frame: FrameType, client: Any) -> str:
    """The function that runs, with the class that has it, unless that is the client's, which are two."""
    code, me = frame.f_code, frame.f_locals.get("self")
    for kind in () if me is None else type(me).__mro__:
        step = vars(kind).get(code.co_name)
        if getattr(getattr(step, "fget", step), "__code__", None) is code:
            return code.co_name if kind is client or kind.__name__ == "Auth" else f"{kind.__name__}.{code.co_name}"
    return code.co_name


def steps_of(run: Callable[[], object], library: Any, client: Any) -> set[str]:
    seen: set[str] = set()

    def note(frame: FrameType, event: str, _: object) -> None:
        code = frame.f_code
        if event == "call" and code.co_filename.startswith(home(library)) and not code.co_name.startswith("<"):
            seen.add(name_of(frame, client))

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        run()
    finally:
        sys.setprofile(before)
    return seen


CALLS: list[tuple[str, dict[str, Any]]] = [
    ("/a", {}),
    ("/a?b=1", {"params": {"x": "1"}, "headers": {"X-One": "1"}}),
    ("http://elsewhere:81/a b", {"timeout": 3.0}),
    ("/a", {"follow_redirects": True}),
]


def finished(call: Any) -> Any:
    """What an async call comes to that does not suspend."""
    with pytest.raises(StopIteration) as stopped:
        call.send(None)
    return stopped.value.value


@pytest.fixture
def plain_calls(lib: SimpleNamespace, origin: Any) -> Iterator[dict[str, Callable[[], list[Any]]]]:
    """The calls, by clients of the library over our transports, all of them hits."""
    settings = {"base_url": "http://origin", "params": {"p": "1"}, "headers": {"X-Two": "2"}}
    transport = lib.CacheTransport(origin.transport)
    client = lib.http.Client(transport=transport, **settings)
    below = lib.AsyncCacheTransport(origin.transport, storage=transport.storage)
    other = lib.http.AsyncClient(transport=below, **settings)
    for url, options in CALLS:
        client.get(url, **options)
    yield {
        "sync": lambda: [client.get(url, **options) for url, options in CALLS],
        "async": lambda: [finished(other.get(url, **options)) for url, options in CALLS],
    }
    client.close()


@pytest.mark.parametrize("face", ["sync", "async"])
def test_every_step_of_a_hit_has_been_reviewed(
    lib: SimpleNamespace, plain_calls: dict[str, Callable[[], list[Any]]], face: str
) -> None:
    client = lib.http.Client if face == "sync" else lib.http.AsyncClient
    assert {answer.extensions["pywats_cache"].status for answer in plain_calls[face]()} == {"hit"}
    steps = steps_of(plain_calls[face], lib.http, client)
    new = sorted(steps - REVIEWED.keys())
    assert not new, NEW.format(library=lib.name, steps=", ".join(new))
    assert {"send", "_send_single_request", "BaseClient.build_request", "BaseClient._merge_url"} <= steps, (
        "it sees them"
    )


@pytest.mark.parametrize("face", ["Client", "AsyncClient"])
def test_every_step_that_is_looked_at_is_there(lib: SimpleNamespace, face: str) -> None:
    client = getattr(lib.http, face)
    missing = [name for name in (*CLIENT_STEPS, "get") if not hasattr(client, name)]
    assert not missing, f"{lib.name} renamed {missing}: until `CLIENT_STEPS` knows the new names, nothing is looked up"


def test_what_is_guarded_is_what_the_guard_looks_at() -> None:
    guarded = {name.rpartition(".")[2] for name, why in REVIEWED.items() if why == GUARDED}
    assert guarded == {*CLIENT_STEPS, "get"}


def test_no_step_of_a_client_is_left_out_unguarded(lib: SimpleNamespace) -> None:
    """Whatever belongs to the client itself is guarded, never argued away."""
    owned = {
        name for kind in lib.http.Client.__mro__[:-1] for name in vars(kind) if inspect.isfunction(vars(kind)[name])
    }
    argued = {name for name, why in REVIEWED.items() if why != GUARDED and "." not in name}
    assert not owned & argued


def test_a_looked_up_answer_runs_no_step_of_the_client(lib: SimpleNamespace, origin: Any) -> None:
    with lib.CacheClient(transport=origin.transport, base_url="http://origin") as client:
        for _ in range(3):
            client.get("/a")
        assert steps_of(lambda: client.get("/a"), lib.http, lib.http.Client) == set()
