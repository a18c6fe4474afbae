"""A server whose answers are odd, and a function of the request, the credentials and the number of writes."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import AsyncIterator, Iterator
from operator import itemgetter
from random import Random
from typing import Any

from fuzz_cases import HOSTS, LASTING, MOMENTS, ODD_CONTROL, PATHS, mutated

STATUSES = (200,) * 12 + (203, 204, 206, 301, 302, 304, 307, 308, 404, 410, 416, 500, 503, 299)
SAFE = ("GET", "HEAD", "OPTIONS", "TRACE", "PROPFIND", "QUERY")
CREDENTIALS = (b"authorization", b"cookie", b"api_key")
CONDITIONS = (b"range", b"if-none-match", b"if-match", b"if-range", b"if-modified-since", b"if-unmodified-since")
FIELDS: dict[bytes, tuple[bytes, ...]] = {
    b"Cache-Control": LASTING * 3 + ODD_CONTROL,
    b"Expires": MOMENTS,
    b"Date": MOMENTS,
    b"Age": (b"0", b"5", b"-1", b"\xb2", b"9" * 5000, b"1, 2"),
    b"Vary": (b"Accept", b"X-V", b"x-v, X-W", b"*", b"X-\xe9", b"Cookie", b",", b"X V"),
    b"Content-Type": (
        b"text/plain; charset=latin-1",
        b"application/json",
        b"text/event-stream",
        b"a/b; charset=\xff",
        b"text",
    ),
    b"Set-Cookie": (b"a=b; Path=/", b"c=d; Expires=" + MOMENTS[1], b"=", b"a"),
    b"Link": (b"</a>; rel=next", b"<"),
    b"Pragma": (b"no-cache",),
    b"Warning": (b'110 - "stale"',),
    b"X-Long": (b"x" * 70_000, b""),
    b"x-a": (b"1", b"\xe4\xff"),
    b"X-A": (b"2",),
    b"Connection": (b"close", b"X-A"),
    b"Transfer-Encoding": (b"chunked",),
    b"Location": (
        *((host + path).encode() for host in HOSTS[:3] for path in PATHS[:12]),
        *(b"", b"a", b"\xff", b"http://[::1"),
    ),
    b"Content-Range": (b"bytes 0-1/5", b"bytes */5", b"x"),
    b"Content-Location": (b"/a", b"\xe9"),
    b"Clear-Site-Data": (b'"cache"',),
}


class Spec:
    """What one resource is like."""

    def __init__(self, dice: Random) -> None:
        self.status = dice.choice(STATUSES)
        if dice.random() < 0.4:
            self.status = 200
        names = [dice.choice(list(FIELDS)) for _ in range(dice.choice((0, 1, 2, 3, 5)))]
        self.fields = [(name, mutated(dice, dice.choice(FIELDS[name]))) for name in names]
        if dice.random() < 0.5:
            self.fields.append((b"Cache-Control", dice.choice(LASTING)))
        self.body = dice.choice(
            (b"", b"null", b"one\ntwo\r\nthree", "äöü€".encode(), b"\xe4\x00\xff" * 200, b"z" * 90_000)
        )
        self.shows = dice.random() < 0.9
        """Whether the body says who asked for what; else it may be empty."""
        self.coding = dice.choice((None, None, None, b"gzip", b"deflate", b"x-own", b"broken"))
        self.length = dice.choice(("true", "true", "true", "none", "short", "long", "twice", "odd"))
        self.size = dice.choice((7, 1000, 65_536))
        self.breaks = dice.random() < 0.06
        self.fails = (
            dice.choice(("ConnectError", "ReadTimeout", "RemoteProtocolError")) if dice.random() < 0.03 else None
        )
        self.tag = mutated(dice, dice.choice((b'"%b"', b'W/"%b"', b"%b"))) if dice.random() < 0.5 else None
        self.is_dated = dice.random() < 0.3
        self.extensions = dice.choice(({}, {}, {"http_version": b"HTTP/2"}, {"reason_phrase": b"Fine \xe4"}))


class Origin:
    """The server of one client; `mode` says what selects an answer beside the credentials."""

    def __init__(self, lib: Any, seed: str, mode: str) -> None:
        self.lib, self.seed, self.mode = lib, seed, mode
        self.writes: dict[bytes, int] = {}
        self.calls = 0
        self.transport = _transport(lib, self)

    def answer(self, request: Any, sent: bytes) -> Any:
        self.calls += 1
        url, method = request.url, request.method
        target = request.extensions.get("target", url.raw_path)
        port = b":443" if url.scheme == "https" else b":80"
        hosts = [value.lower().removesuffix(port) for _, name, value in request.headers._list if name == b"host"]
        where = b"%b://%b %b %b" % (url.raw_scheme, url.netloc.rpartition(b"@")[2], b", ".join(hosts), target)
        path = where.partition(b"?")[0]
        spec = Spec(Random(f"{self.seed}{where!r}"))
        if method not in SAFE and not 400 <= spec.status < 500 and spec.fails != "ConnectError":
            self.writes[path] = self.writes.get(path, 0) + 1
        if spec.fails:
            raise getattr(self.lib, spec.fails)("fails")
        fields = list(spec.fields)
        body = b"" if not spec.shows else b"\n".join(self._seen(request, spec, sent, where, path))
        body += spec.body
        check = b"%08x" % zlib.crc32(body)
        etags = []
        if spec.tag is not None:
            etags = [spec.tag.replace(b"%b", b"") + check if b'%b"' not in spec.tag else spec.tag.replace(b"%b", check)]
            fields.append((b"ETag", etags[0]))
        if spec.is_dated:
            day = int(check, 16) % 28 + 1
            stamp = b"%02d Jan %d %02d:00:00 GMT" % (day, 1971 + int(check[:2], 16) % 50, int(check[-2:], 16) % 24)
            fields.append((b"Last-Modified", b"Thu, " + stamp))
        asked = [value for _, name, value in request.headers._list if name == b"if-none-match"]
        if method in ("GET", "HEAD") and spec.status == 200 and asked and asked == etags:
            return self.lib.Response(304, headers=fields, extensions=spec.extensions)
        if spec.coding:
            fields.append((b"Content-Encoding", b"gzip" if spec.coding == b"broken" else spec.coding))
        body = {b"gzip": lambda b: gzip.compress(b, mtime=0), b"deflate": zlib.compress}.get(spec.coding, bytes)(body)
        count = len(body)
        if method == "HEAD" or spec.status in (204, 304):
            body = b""
        said = {"short": count // 2, "long": count + 5}.get(spec.length, count)
        value = b"+%d\xe9" % count if spec.length == "odd" else b"%d" % said
        fields += [(b"Content-Length", value)] * {"none": 0, "twice": 2}.get(spec.length, 1)
        stream = _chunks(self.lib, body, spec)
        return self.lib.Response(spec.status, headers=fields, stream=stream, extensions=spec.extensions)

    def _seen(self, request: Any, spec: Spec, sent: bytes, where: bytes, path: bytes) -> Iterator[bytes]:
        """Everything that an answer depends on."""
        yield b"%b %b %d %b" % (request.method.encode().replace(b"HEAD", b"GET"), where, self.writes.get(path, 0), sent)
        said = [value for name, value in spec.fields if name == b"Vary"]
        varies = {name.strip(b" \t").lower() for value in said for name in value.split(b",")}
        if self.mode == "ttl":
            varies |= {b"accept", b"accept-language"}
        for name, value in sorted(((name, value) for _, name, value in request.headers._list), key=itemgetter(0)):
            if name == b"accept-language" and value == b"*":
                continue  # any language, as if nothing was said
            if name in varies or name in CREDENTIALS or (b"*" in varies and name not in (b"host", *CONDITIONS)):
                yield b"%b=%b" % (name, value)


def _chunks(lib: Any, body: bytes, spec: Spec) -> Any:
    class Chunks(lib.SyncByteStream, lib.AsyncByteStream):  # type: ignore[misc]
        def __iter__(self) -> Iterator[bytes]:
            for start in range(0, len(body), spec.size):
                yield body[start : start + spec.size]
            if spec.breaks:
                raise lib.ReadError("broken off")

        async def __aiter__(self) -> AsyncIterator[bytes]:
            for chunk in self:
                yield chunk

    return Chunks()


def _transport(lib: Any, origin: Origin) -> Any:
    class Transport(lib.BaseTransport, lib.AsyncBaseTransport):  # type: ignore[misc]
        def handle_request(self, request: Any) -> Any:
            return origin.answer(request, request.read())

        async def handle_async_request(self, request: Any) -> Any:
            return origin.answer(request, await request.aread())

    return Transport()
