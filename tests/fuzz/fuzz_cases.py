"""Random requests, as odd as a client lets them through."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from random import Random
from typing import Any

ODD_BYTES = (b"\t", b" ", b"\xa0", b"\x85", b"\xb2", b"\xe9", b"\xff", b'"', b",", b";", b"=", b"\\", "é".encode())
MOMENTS = (
    b"Thu, 01 Jan 2026 00:00:00 GMT",
    b"Fri, 01 Jan 2100 00:00:00 GMT",
    b"Friday, 01-Jan-26 00:00:00 GMT",
    b"Thu Jan  1 00:00:00 2026",
    b"0",
    b"Thu, 31 Feb 2026 25:61:00 GMT",
    b"Mon, 01 Jan 99999 00:00:00 GMT",
)
LASTING = (b"max-age=60", b"max-age=60, stale-while-revalidate=60", b"private, max-age=5", b"max-age=99999999999999999")
ODD_CONTROL = (
    b"no-store",
    b"no-cache",
    b"max-age=0",
    b"max-age=",
    b'max-age="5',
    b'no-cache="set-cookie"',
    b",,=,",
    b"",
)
ASKED: dict[bytes, tuple[bytes, ...]] = {
    b"Accept": (b"text/plain", b"application/json;q=0.5, */*", b"*/*", b"text/event-stream"),
    b"Accept-Language": (b"de", b"en;q=0.1", b"*"),
    b"X-V": (b"1", b"2", b"1, 2"),
    b"X-W": (b"a",),
    b"Range": (
        b"bytes=0-1",
        b"bytes=-1",
        b"bytes=5-",
        b"bytes=9-2",
        b"bytes=0-0,2-3",
        b"lines=1",
        b"bytes=" + b"9" * 5000,
    ),
    b"If-None-Match": (b'"a"', b'W/"a"', b"*", b'"', b'"a", "b"'),
    b"If-Match": (b'"a"', b"*"),
    b"If-Range": (b'"a"', MOMENTS[0]),
    b"If-Modified-Since": MOMENTS,
    b"If-Unmodified-Since": MOMENTS,
    b"Cache-Control": (
        b"no-cache",
        b"no-store",
        b"max-age=0",
        b"max-age=9",
        b"max-stale",
        b"min-fresh=5",
        *ODD_CONTROL,
    ),
    b"Pragma": (b"no-cache",),
    b"Authorization": (b"Bearer a", b"Bearer b", b"Basic dTpw"),
    b"Cookie": (b"a=b", b"a=c", b"a=b; c=d"),
    b"api_key": (b"k", b"l"),
    b"Host": (b"other", b"o:80", b"O"),
    b"Accept-Encoding": (b"gzip", b"identity", b"br;q=0"),
    b"Content-Type": (b"application/json", b"text/plain; charset=utf-8"),
    b"X-HTTP-Method-Override": (b"DELETE", b"GET"),
    b"Expect": (b"100-continue",),
    b"Connection": (b"close", b"upgrade"),
    b"Upgrade": (b"websocket",),
    b"TE": (b"trailers",),
}
PATHS = (
    *(
        "",
        "/",
        "//",
        "///a",
        "/a",
        "/a/",
        "/a//b",
        "/./a",
        "/a/../b",
        "/..",
        "/.",
        "/a/.",
        "/a/%2e%2e/b",
        "/%2F",
        "/a%2Fb",
    ),
    *(
        "/%41",
        "/%61",
        "/%c3%a4",
        "/ä",
        "/%C3%A4",
        "/%",
        "/%zz",
        "/%4",
        "/%00",
        "/%ff",
        "/a;b=c",
        "/a b",
        "/a%20b",
        "/a+b",
    ),
    *(
        "/日本",
        "/\U0001f600",
        "/" + "d/" * 60,
        "/" + "l" * 3000,
        "/a\\b",
        '/"a"',
        "/<a>",
        "/{id}",
        "/*",
        "/**",
        "/a:b",
        "/@",
    ),
)
QUERIES = (
    *(
        "",
        "?",
        "?a=1",
        "?a=1&a=2",
        "?a=2&a=1",
        "?b=1&a=1",
        "?a",
        "?a=",
        "?=a",
        "?&",
        "?&&a",
        "?%",
        "?%zz=%",
        "?a=%20",
        "?a=+",
    ),
    *("?ä=ö", "?a=1;b=2", "?a=/../?x", "?" + "q=1&" * 100, "?a=%00", "?a=[1]", "?a='"),
)
HOSTS = (
    *(
        "http://o",
        "http://o:80",
        "http://O",
        "http://o.",
        "https://o",
        "http://u:pw@o",
        "http://v@o",
        "http://u:%@o",
        "http://:p@o",
    ),
    *(
        "http://o:8000",
        "http://[::1]:8000",
        "http://[::1]",
        "http://127.0.0.1",
        "http://bücher.de",
        "http://xn--bcher-kva.de",
    ),
)
BAD_URLS = (
    "http://[::1",
    "http://o:99999",
    "http://o:x",
    "ftp://o/a",
    "/relative",
    "",
    "//o/a",
    "http:///a",
    "http://o/\x00",
    "mailto:a",
)
FRAGMENTS = ("", "", "", "#f", "#", "#ä?a=1", "#/../a")
METHODS = ("HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND", "get", "QUERY", "X-ODD", "PURGE")
READINGS = ("whole", "whole", "whole", "bytes", "raw", "text", "lines", "read", "nothing")
EXTENSIONS: tuple[dict[str, Any], ...] = (
    {"timeout": {"connect": 1, "read": 2, "write": 3, "pool": 4}},
    {"target": b"/target"},
    {"target": b"*"},
    {"x-own": object},
    {"pywats_cache": {"bypass": True}},
    {"pywats_cache": {"refresh": True}},
    {"pywats_cache": {"ttl": 5.0}},
    {"pywats_cache": {"ttl": 0}},
    {"pywats_cache": {"tags": ("t",)}},
    {"pywats_cache": {"ttl": None, "tags": ()}},
)


class Bits:
    """A body in pieces, made anew for each client that sends it."""

    def __init__(self, is_async: bool) -> None:
        self.__class__ = _AsyncBits if is_async else _SyncBits


class _SyncBits(Bits):
    def __iter__(self) -> Iterator[bytes]:
        yield from (b"bi", b"", b"ts")


class _AsyncBits(Bits):
    async def __aiter__(self) -> AsyncIterator[bytes]:
        for bit in (b"bi", b"", b"ts"):
            yield bit


BODIES: tuple[Callable[[bool], dict[str, Any]], ...] = (
    lambda _: {"content": b""},
    lambda _: {"content": b"bytes \xff"},
    lambda _: {"content": "text ä"},
    lambda _: {"json": {"a": [1, None, "ä"]}},
    lambda _: {"json": None},
    lambda _: {"data": {"a": "1", "b": ["2", "3"]}},
    lambda is_async: {"content": Bits(is_async)},
)


def mutated(dice: Random, value: bytes) -> bytes:
    """The value, now and then with odd bytes in it, cut, or very long."""
    chance = dice.random()
    if chance < 0.7:
        return value
    if chance < 0.8:
        return bytes(dice.choice((9, *range(0x20, 0x7F), *range(0x80, 0x100))) for _ in range(dice.randrange(6)))
    if chance < 0.83:
        return value * dice.choice((2, 300))
    at = dice.randrange(len(value) + 1)
    return value[:at] + dice.choice(ODD_BYTES) + value[at + dice.randrange(2) :]


def a_url(dice: Random) -> str:
    if dice.random() < 0.02:
        return dice.choice(BAD_URLS)
    return dice.choice(HOSTS) + dice.choice(PATHS) + dice.choice(QUERIES) + dice.choice(FRAGMENTS)


def request_fields(dice: Random) -> list[tuple[bytes, bytes]]:
    names = [dice.choice(list(ASKED)) for _ in range(dice.choice((0, 0, 1, 1, 2, 3)))]
    return [(name.lower() if dice.random() < 0.1 else name, mutated(dice, dice.choice(ASKED[name]))) for name in names]


def a_call(dice: Random, urls: list[str]) -> dict[str, Any]:
    """One call, of mostly few URLs, so that some of them are the same."""
    call: dict[str, Any] = {
        "method": dice.choice(METHODS) if dice.random() < 0.3 else "GET",
        "url": dice.choice(urls),
        "headers": request_fields(dice),
        "reading": dice.choice(READINGS),
        "follow_redirects": dice.random() < 0.5,
        "body": dice.choice(BODIES) if dice.random() < (0.05 if dice.random() < 0.7 else 0.5) else None,
    }
    if dice.random() < 0.15:
        call["extensions"] = dice.choice(EXTENSIONS)
    return call


def calls_of(dice: Random) -> list[dict[str, Any]]:
    first = a_url(dice)
    urls = [first, first, first, a_url(dice), dice.choice(HOSTS) + dice.choice(PATHS)]
    kinds = [a_call(dice, urls) for _ in range(dice.randrange(1, 5))]
    calls = [dict(dice.choice(kinds)) for _ in range(dice.randrange(3, 9))]
    for call in calls:
        call["wait"] = dice.choice((0, 0, 0, 1, 30, 61, 10_000))
        if dice.random() < 0.15:
            call.update(reading=dice.choice(READINGS))
    return calls
