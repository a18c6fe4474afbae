"""Whatever bytes stand in header fields, nothing raises, and each answer is what the bare client gets."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import httpx
import httpx2
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

import pywats_cache
import pywats_cache.httpx2
from pywats_cache import Controller
from pywats_cache.testing import FakeClock

LIBRARIES = pytest.mark.parametrize(
    ("lib", "cache"), [(httpx, pywats_cache), (httpx2, pywats_cache.httpx2)], ids=["httpx", "httpx2"]
)
MODES = {"ttl": Controller(ttl=60.0), "rfc": Controller(rfc9111=True)}

Fields = list[tuple[bytes, bytes]]


def around(*values: bytes) -> st.SearchStrategy[bytes]:
    """Bytes that a field may hold: any, and likely ones with any beside them."""
    odd = st.lists(st.sampled_from([b"\t", *(bytes([code]) for code in range(0x20, 0x100))]), max_size=4).map(b"".join)
    beside = st.one_of(st.just(b""), st.just(b"\xa0"), st.just(b"\xe9"), odd)
    return st.one_of(
        st.sampled_from(values), odd, st.tuples(beside, st.sampled_from(values), beside).map(b"".join)
    ).map(lambda value: value.strip(b" \t"))  # as whoever reads a message from the wire takes it


MOMENTS = (b"Tue, 24 Nov 2026 12:00:00 GMT", b"Tuesday, 24-Nov-26 12:00:05 GMT", b"Tue Nov 24 12:00:00 2026", b"0")
TAGS = (b'"a"', b'W/"a"', b'"\xe9"', '"é"'.encode(), b'"a", "b"', b"a", b"*", b'"')
ANSWERS: dict[bytes, st.SearchStrategy[bytes]] = {
    b"ETag": around(*TAGS),
    b"Last-Modified": around(*MOMENTS),
    b"Vary": around(b"Accept", b"X-V", b"Accept, X-V", b"X-\xe9", b"Cookie", b"*"),
    b"Cache-Control": around(b"max-age=60", b"no-cache", b"no-store", b'private="x", max-age=5', b"must-revalidate"),
    b"Content-Type": around(b"text/plain; charset=utf-8", b"application/json", b"text/event-stream"),
    b"Date": around(*MOMENTS),
    b"Age": around(b"0", b"5", b"\xb2", b"9" * 5000),
}
ASKED: dict[bytes, st.SearchStrategy[bytes]] = {
    b"Accept": around(b"text/plain", b"\xe9", "é".encode(), b"a;q=0.5, b", b"text/event-stream"),
    b"If-None-Match": around(*TAGS),
    b"Cache-Control": around(b"no-cache", b"max-age=0", b"no-store", b"max-stale", b"min-fresh=5"),
    b"Authorization": around(b"Bearer x", b"Bearer \xe9", "Bearer é".encode()),
    b"Cookie": around(b"a=b", b"a=\xe9", "a=é".encode()),
    b"X-V": around(b"1", b"\xc0", b"\xe0"),
}


def fields(of: dict[bytes, st.SearchStrategy[bytes]]) -> st.SearchStrategy[Fields]:
    """Some of these fields, and perhaps one of them again."""
    again = st.sampled_from(sorted(of)).flatmap(lambda name: st.tuples(st.just(name), of[name]))
    some = st.fixed_dictionaries({}, optional=of).map(lambda found: list(found.items()))
    return st.builds(lambda found, more: found + more, some, st.lists(again, max_size=1))


LASTING = st.sampled_from([[], [(b"Cache-Control", b"max-age=60")]])
STEPS = st.lists(st.tuples(st.integers(0, 2), st.sampled_from([0.0, 1.0, 30.0, 61.0])), min_size=3, max_size=8)
"""Which of three requests is sent next, and how long after the one before."""


class Server:
    """Says what it was asked, as far as its Vary and the credentials let it; a 304 to who names its ETag."""

    def __init__(self, lib: Any, said: Fields) -> None:
        self.lib, self.said = lib, said
        self.tags = [value for name, value in said if name == b"ETag"]
        names = {name.strip(b" \t").lower() for key, value in said if key == b"Vary" for name in value.split(b",")}
        self.selecting = sorted({b"authorization", b"cookie", *names} - {b""})

    def __call__(self, request: Any) -> Any:
        sent = [(lower, value) for _, lower, value in request.headers._list]
        asked = b", ".join(value for name, value in sent if name == b"if-none-match")
        # Only what is one entity-tag to everybody: whatever else is sent here is taken for another copy.
        if asked and len(self.tags) == 1 and b"," not in self.tags[0] and self.tags[0] in asked.split(b", "):
            return self.lib.Response(304, headers=self.said)
        body = b"\n".join(b"%b=%b" % (n, v) for name in self.selecting for n, v in sent if n == name)
        return self.lib.Response(200, headers=self.said, content=body)


def picture(response: Any) -> tuple[Any, ...]:
    left_out = (b"age", b"date", b"content-length")
    return (
        response.status_code,
        response.content,
        sorted((lower, value) for _, lower, value in response.headers._list if lower not in left_out),
    )


@pytest.mark.parametrize("mode", MODES)
@LIBRARIES
@settings(max_examples=300)
@given(said=fields(ANSWERS), lasting=LASTING, asked=st.lists(fields(ASKED), min_size=3, max_size=3), steps=STEPS)
def test_any_bytes_in_header_fields_are_answered_as_by_the_bare_client(
    lib: ModuleType,
    cache: Any,
    mode: str,
    said: Fields,
    lasting: Fields,
    asked: list[Fields],
    steps: list[tuple[int, float]],
) -> None:
    server, clock = Server(lib, lasting + said), FakeClock()
    library: Any = lib
    bare = library.Client(transport=library.MockTransport(server))
    mounted = library.Client(
        transport=cache.CacheTransport(library.MockTransport(server), controller=MODES[mode], clock=clock)
    )
    ours = cache.CacheClient(transport=library.MockTransport(server), controller=MODES[mode], clock=clock)
    for number, seconds in steps:
        clock.advance(seconds)
        for client in (mounted, ours):
            answer = client.send(library.Request("GET", "http://o/a", headers=asked[number]))
            outcome = answer.extensions["pywats_cache"]
            event(f"{outcome.status}: {outcome.reason}")
            plain = [field for field in asked[number] if field[0] != b"If-None-Match"]
            whole = bare.send(library.Request("GET", "http://o/a", headers=plain))
            if answer.status_code == 304:
                # To one who named a tag, perhaps in other words than the server's comparison knows.
                assert len(plain) < len(asked[number])
                assert [v for _, n, v in answer.headers._list if n == b"etag"] == server.tags
            else:
                assert picture(answer) == picture(whole)
        assert ours.get("http://o/a").content == bare.get("http://o/a").content
    assert len(mounted._transport._engine.storage.flights) == len(ours.cache._engine.storage.flights) == 0
