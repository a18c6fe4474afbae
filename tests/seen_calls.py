"""What a caller can tell of a call: everything there is to see of a response, read in one way or another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def picture(response: Any, client: Any) -> dict[str, Any]:
    """What is to be seen of a response however it was read."""
    try:
        failure = response.raise_for_status() and None
    except Exception as error:
        failure = str(error)
    request = response.request
    return {
        "status": (response.status_code, response.reason_phrase, response.http_version, failure),
        "headers": (response.headers.raw, response.headers.multi_items(), response.headers.encoding, response.links),
        "state": (response.is_closed, response.is_stream_consumed, response.elapsed.total_seconds() >= 0),
        "downloaded": response.num_bytes_downloaded,
        "encoding": (response.encoding, response.charset_encoding, response.default_encoding),
        "request": (request.method, str(request.url), request.headers.raw, request.extensions, str(response.url)),
        "history": [(step.status_code, str(step.url), step.headers.raw, step.content) for step in response.history],
        "next": response.next_request and str(response.next_request.url),
        "cookies": [[(c.name, c.value, c.domain) for c in jar] for jar in (response.cookies.jar, client.cookies.jar)],
        "extensions": {name: value for name, value in response.extensions.items() if name != "pywats_cache"},
    }


def failed(error: Exception) -> dict[str, Any]:
    request = getattr(error, "request", None)
    return {"error": (type(error), str(error), request and (request.method, str(request.url)))}


def seen(client: Any, method: str, url: str, reading: str, **options: Any) -> dict[str, Any]:
    try:
        if reading == "whole":
            response = client.get(url, **options) if method == "GET" else client.request(method, url, **options)
            body = (response.content, response.text, response.num_bytes_downloaded)
            return {**picture(response, client), "body": body}
        with client.stream(method, url, **options) as response:
            states = [before(response)]
            if reading == "read":
                body = [response.read(), *response.iter_bytes()]
            elif reading == "nothing":
                body = []
            else:
                body = list(getattr(response, f"iter_{reading}")())
            if reading != "nothing":
                states.append(after(response, response.read))
        states.append(why(lambda: list(response.iter_raw())))
    except Exception as error:
        return failed(error)
    return {**streamed(picture(response, client), body, reading), "states": states}


async def aseen(client: Any, method: str, url: str, reading: str, **options: Any) -> dict[str, Any]:
    try:
        if reading == "whole":
            get = client.get(url, **options) if method == "GET" else client.request(method, url, **options)
            response = await get
            body = (response.content, response.text, response.num_bytes_downloaded)
            return {**picture(response, client), "body": body}
        async with client.stream(method, url, **options) as response:
            states = [before(response)]
            if reading == "read":
                body = [await response.aread(), *[part async for part in response.aiter_bytes()]]
            elif reading == "nothing":
                body = []
            else:
                body = [part async for part in getattr(response, f"aiter_{reading}")()]
            if reading != "nothing":
                states.append(after(response, lambda: None))
                try:
                    states.append(await response.aread())
                except Exception as error:
                    states.append(type(error))
        try:
            states.append([part async for part in response.aiter_raw()])
        except Exception as error:
            states.append(type(error))
    except Exception as error:
        return failed(error)
    return {**streamed(picture(response, client), body, reading), "states": states}


def streamed(seen: dict[str, Any], parts: list[Any], reading: str) -> dict[str, Any]:
    """A hit comes in one piece; but for that, a stream is what it would be."""
    body = (
        parts
        if reading == "lines"
        else b"".join(parts)
        if reading in ("bytes", "raw", "read", "nothing")
        else "".join(parts)
    )
    return {**seen, "body": body}


def before(response: Any) -> Any:
    """What is to be seen of a streamed response before anything of it is read."""
    return response.is_closed, response.is_stream_consumed, response.num_bytes_downloaded, why(lambda: response.content)


def why(call: Callable[[], Any]) -> Any:
    """The kind of error that `call` raises, or what it returns."""
    try:
        return call()
    except Exception as error:
        return type(error)


def after(response: Any, read: Callable[[], Any]) -> Any:
    """What is to be seen of a streamed response once it was read, before it is closed."""
    return before(response), response.elapsed.total_seconds() >= 0, why(read)
