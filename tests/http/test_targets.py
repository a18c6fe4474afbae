"""What goes over the wire in place of the path of a URL: a write reaches what the server was asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

pytestmark = pytest.mark.anyio
Make = Callable[..., Any]


@pytest.mark.parametrize("kind", ["client", "mounted"])
@pytest.mark.parametrize("target", [b"/b", b"/b?x=1", b"/b//", b"/x/../%62", b"http://{host}/b"])
async def test_a_write_invalidates_the_target_that_the_server_was_sent(
    make: Make, server: Any, kind: str, target: bytes
) -> None:
    target = target.replace(b"{host}", server.host.encode())
    caller = make(kind)
    await caller.get("/b")
    await caller.get("/other")
    await caller.request("PUT", "/a", extensions={"target": target})
    assert server.log[-1].target == target.decode()
    assert (await caller.get("/b")).extensions["pywats_cache"].reason == "dirtied"
    assert (await caller.get("/other")).extensions["pywats_cache"].status == "hit"


@pytest.mark.parametrize("kind", ["client", "mounted"])
async def test_extra_slashes_reach_the_server_and_hide_no_write(make: Make, server: Any, kind: str) -> None:
    caller = make(kind)
    for path in ("/b/", "/b//", "/./b", "/%2e/b"):
        await caller.get("/b")
        await caller.request("PUT", server.url + path)
        assert (await caller.get("/b")).extensions["pywats_cache"].reason == "dirtied"
    assert [seen.target for seen in server.log if seen.method == "PUT"] == ["/b/", "/b//", "/b", "/%2e/b"]


@pytest.mark.parametrize("kind", ["client", "mounted"])
@pytest.mark.parametrize("target", [b"\x00", "/ä".encode(), b"/a b", b"", 7])
async def test_a_target_that_cannot_be_sent_is_refused_by_the_library_and_dirties_all(
    make: Make, server: Any, kind: str, target: Any
) -> None:
    caller = make(kind)
    await caller.get("/b")
    try:
        await caller.request("PUT", "/a", extensions={"target": target})
    except Exception:  # which one is the library's matter
        assert len(server.log) == 1
    assert (await caller.get("/b")).extensions["pywats_cache"].status == "miss"
