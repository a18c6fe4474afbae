"""A lookup has the key of the request that httpx would have built, or it declines; then nothing has changed."""

from __future__ import annotations

from typing import Any

import httpx
import httpx2
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from pywats_cache import CacheClient, Controller, MemoryStorage, Read
from pywats_cache.httpx2 import CacheClient as CacheClient2

LIBRARIES = pytest.mark.parametrize(
    ("library", "client_class"), [(httpx, CacheClient), (httpx2, CacheClient2)], ids=["httpx", "httpx2"]
)
PLAIN = st.sampled_from([1, 0, True, False, None, "1", "true", "", "None", "a b", "ä", "&=", "%41"])
PARAMETER = st.one_of(PLAIN, PLAIN, st.sampled_from([1.0, 1.5, ("a", "b"), ["1", 1, True]]))
PARAMS = st.one_of(
    st.none(),
    st.dictionaries(st.sampled_from(["a", "b", "q"]), PARAMETER, max_size=3),
    st.sampled_from(["a=1", b"a=1", [("a", "1")], (("a", 1),)]),
)
HEADERS = st.one_of(
    st.none(),
    st.dictionaries(
        st.sampled_from(
            ["Authorization", "authorization", "Cookie", "X-API-Key", "Accept", "ACCEPT", "Host", "Range", "X-Any"]
        ),
        st.sampled_from(["", "u", "v", "u, v", "U,v"]),
        max_size=2,
    ),
    st.sampled_from([[("Authorization", "u")], {b"Authorization": b"u"}]),
)
JSON = st.one_of(
    st.none(),
    st.sampled_from([1, True, 1.0, "1", [], {}, [1, True], {"a": 1}, {"a": True}, {"a": 1, "b": 2}, {"b": 2, "a": 1}]),
)
CONTENT = st.one_of(st.none(), st.none(), st.sampled_from([b"", b"x", "x", "ä", "{}"]))
URL = st.sampled_from(
    ["/p", "p", "", "/p?a=1", "p?b=2&a=1", "/p/../q", "/p#f", "/ä", "http://o/base/p", "http://u:p@o/base/p", "//o/p"]
)
CALL = st.fixed_dictionaries(
    {
        "method": st.sampled_from(["GET", "GET", "POST"]),
        "url": URL,
        "params": PARAMS,
        "headers": HEADERS,
        "content": CONTENT,
        "json": JSON,
    }
)


def nearly(value: Any) -> Any:
    """Another value that is equal, or looks alike."""
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, (int, float)):
        return bool(value)
    if isinstance(value, (str, type(None))):
        return {"1": 1, "true": True, "None": None, None: "", "": None}.get(value, value)
    return value


@st.composite
def much_the_same(draw: Any, calls: list[dict[str, Any]]) -> dict[str, Any]:
    """One of `calls` again, or with an argument that is equal to the old one, or nearly."""
    call = dict(draw(st.sampled_from(calls)))
    part = draw(st.sampled_from(["", "params", "params", "headers", "json", "content", "method"]))
    value = call.get(part)
    if part in ("params", "headers") and isinstance(value, dict) and value:
        name = draw(st.sampled_from(sorted(value, key=repr)))
        call[part] = {**value, name: nearly(value[name]) if part == "params" else "w"}
    elif part in ("params", "headers") and not value:
        call[part] = {} if value is None else None
    elif part == "json":
        call[part] = draw(JSON)
    elif part == "content":
        call[part] = draw(CONTENT)
    elif part == "method":
        call[part] = "POST" if value == "GET" else "GET"
    return call


CLIENT = st.fixed_dictionaries(
    {
        "base_url": st.sampled_from(["http://o", "http://o/base", "http://o/base/", "http://O:80/base?k=1"]),
        "params": st.sampled_from([None, {"a": "0"}, {"z": "1"}]),
        "headers": st.sampled_from([None, {"Authorization": "client"}, {"X-API-Key": "k", "Accept": "u"}]),
    }
)
CONTROLLER = Controller(rules=[Read("/**", methods=("GET", "POST"), vary=("Accept", "X-Any"))])


def respond_with(library: Any) -> Any:
    """Answers with all that its answer depends on, but for the credentials."""

    def answer(request: Any) -> Any:
        form = [request.headers.get(name, "").lower().replace(" ", "") for name in ("Accept", "X-Any")]
        return library.Response(200, content=request.url.raw_path + request.read() + repr(form).encode())

    return library.MockTransport(answer)


def picture(client: Any, storage: MemoryStorage) -> Any:
    """All that a lookup may change."""
    return (
        client.cache.stats._replace(remembered_bytes=0),
        [(key, id(entry), entry.valid_at) for key, entry in storage.table.items.items()],
        storage.coherence.epoch,
        len(storage.flights),
        dict(storage.varying),
    )


def ordinary(client: Any, call: dict[str, Any]) -> Any:
    """The Response of the way through httpx (`request` asks no lookup), or None for what httpx refuses."""
    try:
        return client.request(**call)
    except (httpx.HTTPError, httpx2.HTTPError, httpx.InvalidURL, httpx2.InvalidURL, TypeError, ValueError):
        return None


@LIBRARIES
@settings(max_examples=400)
@given(options=CLIENT, calls=st.lists(CALL, min_size=1, max_size=2), data=st.data())
def test_a_lookup_uses_the_key_of_the_request_or_declines_and_changes_nothing(
    library: Any,
    client_class: Any,
    options: dict[str, Any],
    calls: list[dict[str, Any]],
    data: Any,
) -> None:
    def lookup(call: dict[str, Any]) -> Any:
        arguments = {name: call[name] for name in ("params", "headers", "content", "json")}
        return client.lookup(call["method"], call["url"], **arguments)

    storage = MemoryStorage()
    with client_class(
        transport=respond_with(library), storage=storage, controller=CONTROLLER, cookies=None, **options
    ) as client:
        for call in calls:
            ordinary(client, call)
            lookup(call)
        asked = data.draw(much_the_same(calls))
        if data.draw(st.booleans()):
            ordinary(client, asked)
        before = picture(client, storage)
        entry = lookup(asked)
        after = picture(client, storage)
        response = ordinary(client, asked)
        outcome = None if response is None else response.extensions["pywats_cache"]
        event(f"answered: {entry is not None}, there: {outcome is not None and outcome.status == 'hit'}")
        if entry is None:
            assert after == before
        else:
            assert (outcome.status, outcome.key) == ("hit", entry.key)
            assert response.content == entry.content
            assert after[0].lookups == before[0].lookups + 1


@LIBRARIES
@settings(max_examples=150)
@given(
    options=CLIENT,
    params=st.dictionaries(st.sampled_from(["a", "b"]), PLAIN, max_size=2),
    headers=st.dictionaries(st.sampled_from(["Authorization", "X-Any"]), st.sampled_from(["u", "v"]), max_size=2),
    json=JSON,
)
def test_plain_arguments_are_answered(
    library: Any,
    client_class: Any,
    options: dict[str, Any],
    params: dict[str, Any],
    headers: dict[str, str],
    json: Any,
) -> None:
    """The other side: a lookup that always declines would pass the property above."""
    with client_class(transport=respond_with(library), controller=CONTROLLER, **options) as client:
        call = {"params": params, "headers": headers, "json": json}
        response = client.request("POST", "/p", **call)
        entry = client.lookup("POST", "/p", **call)
        assert entry is not None
        assert entry.content == response.read()


@LIBRARIES
@settings(max_examples=200)
@given(options=CLIENT, url=URL, params=PARAMS, headers=HEADERS)
def test_an_answer_found_before_the_request_looks_like_one_found_after_it(
    library: Any, client_class: Any, options: dict[str, Any], url: str, params: Any, headers: Any
) -> None:
    with client_class(transport=respond_with(library), controller=CONTROLLER, **options) as client:
        first = ordinary(client, {"method": "GET", "url": url, "params": params, "headers": headers})
        if first is None:
            return
        for _ in range(3):
            second = client.get(url, params=params, headers=headers)
        assert second.status_code == first.status_code
        assert second.content == first.content
        assert second.headers.raw == first.headers.raw
        assert second.request.url == first.request.url
        assert second.request.method == first.request.method == "GET"
        assert second.request.headers.raw == first.request.headers.raw
        assert second.url == first.url
        assert client.cache.stats.requests == 4
        event(f"lookups: {client.cache.stats.lookups > 0}")


@LIBRARIES
@settings(max_examples=150)
@given(
    first=CLIENT,
    second=CLIENT,
    what=st.sampled_from(["base_url", "headers", "params", "auth", "cookies", "hook", "nothing"]),
)
def test_a_change_of_the_client_is_never_missed(
    library: Any, client_class: Any, first: dict[str, Any], second: dict[str, Any], what: str
) -> None:
    with client_class(transport=respond_with(library), controller=CONTROLLER, **first) as client:
        client.get("/p").read()
        assert client.lookup("GET", "/p") is not None
        if what in ("base_url", "headers", "params"):
            setattr(client, what, second[what] if second[what] is not None else {})
        elif what == "auth":
            client.auth = ("u", "p")
        elif what == "cookies":
            client.cookies.set("c", "1")
        elif what == "hook":
            client.event_hooks["request"].append(lambda request: None)
        entry = client.lookup("GET", "/p")
        if what in ("auth", "cookies", "hook"):
            assert entry is None
        elif entry is not None:
            assert client.request("GET", "/p").extensions["pywats_cache"].key == entry.key
        else:
            assert what != "nothing"
