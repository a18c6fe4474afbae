"""Runs the Python blocks of a page in order, in one namespace, as a reader would type them in.

- `https://wats.example` is a simulated WATS server that takes any token, `https://api.example` a small JSON server that
  keeps what is PUT; only what goes over the network is diverted. Loopback is real, anything else unreachable.
- A `text` block right below a Python block is what that prints; `…` stands for anything.
- A block with tests is run by pytest. `await` works at the top level, as in a notebook.
- `<!--- skip: next "reason" -->` leaves out the next block.
"""

from __future__ import annotations

import ast
import asyncio
import contextlib
import doctest
import inspect
import io
import json
import os
import subprocess
import sys
import unittest
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from sybil import Document, Example
from sybil.parsers.markdown import CodeBlockParser, SkipParser

from pywats_cache.testing import SimulatedWATS

LOOPBACK = ("127.0.0.1", "localhost")
_CHECKER = doctest.OutputChecker()
_AS_SHOWN = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


class Page:
    """One page. `skipped` are the reasons of the blocks that were left out."""

    def __init__(self, path: Path) -> None:
        self.document = Document.parse(
            str(path), CodeBlockParser("python", self._python), CodeBlockParser("text", self._output), SkipParser()
        )
        self.document.namespace["__name__"] = "__snippet__"
        self.skipped: list[str] = []
        self._printed: tuple[int, str] | None = None

    def run(self) -> None:
        """Run the blocks. The error of one that fails says where it is in the page."""
        for example in self.document.examples():
            try:
                example.evaluate()
            except unittest.SkipTest as reason:
                self.skipped.append(str(reason))

    def _python(self, example: Example) -> None:
        # So many empty lines before it that a traceback names the line of the page.
        source = "\n" * (example.line + example.parsed.line_offset) + example.parsed
        tree = ast.parse(source, example.path)
        if any(isinstance(node, ast.FunctionDef) and node.name.startswith("test_") for node in tree.body):
            _run_tests(example.parsed)
            return
        code = compile(tree, example.path, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            result = eval(code, example.namespace)
            if inspect.iscoroutine(result):
                asyncio.run(result)
        self._printed = (example.end, printed.getvalue())

    def _output(self, example: Example) -> str | None:
        if self._printed is None or example.document.text[self._printed[0] : example.start].strip():
            return None
        shown = str(example.parsed).replace("…", "...")
        got = self._printed[1]
        return None if _CHECKER.check_output(shown, got, _AS_SHOWN) else f"it prints\n{got}"


def _run_tests(source: str) -> None:
    file = Path("test_snippet.py")
    file.write_text(source, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(file)]
    environment = {**os.environ, "NO_COLOR": "1"}
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=environment, timeout=120)
    assert done.returncode == 0, done.stdout


class Network:
    """What the snippets find behind their URLs."""

    def __init__(self, wats: SimulatedWATS) -> None:
        self._wats = wats
        self._kept: dict[str, Any] = {}

    def divert(self, request: httpx.Request) -> httpx.Request | httpx.Response:
        """The request to send in its place, or its answer."""
        host = request.url.host
        if host in LOOPBACK:
            return request
        if host == "api.example":
            return self._answer(request)
        if host != "wats.example":
            raise httpx.ConnectError(f"no such host in a snippet: {host}", request=request)
        to = httpx.URL(self._wats.base_url)
        headers = {**request.headers, "authorization": f"Basic {self._wats.token}", "host": f"{to.host}:{to.port}"}
        url = request.url.copy_with(scheme=to.scheme, host=to.host, port=to.port)
        return httpx.Request(
            request.method, url, headers=headers, stream=request.stream, extensions=dict(request.extensions)
        )

    def _answer(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path
        if request.method == "PUT":
            self._kept[path] = json.loads(request.read())
        return httpx.Response(200, headers={"ETag": '"1"'}, json=self._kept.get(path, {"path": path}))


@contextlib.contextmanager
def diverted(network: Network) -> Iterator[None]:
    """While this is entered, httpx's transports go to `network`."""
    send, send_async = httpx.HTTPTransport.handle_request, httpx.AsyncHTTPTransport.handle_async_request

    def handle(self: httpx.HTTPTransport, request: httpx.Request) -> httpx.Response:
        found = network.divert(request)
        return found if isinstance(found, httpx.Response) else send(self, found)

    async def handle_async(self: httpx.AsyncHTTPTransport, request: httpx.Request) -> httpx.Response:
        found = network.divert(request)
        return found if isinstance(found, httpx.Response) else await send_async(self, found)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(httpx.HTTPTransport, "handle_request", handle)
        patch.setattr(httpx.AsyncHTTPTransport, "handle_async_request", handle_async)
        yield
