"""The classes of httpx and httpx2 have what the cache reads of them."""

from __future__ import annotations

import httpx
import httpx2

from pywats_cache.support.http_types import HttpClient, HttpRequest, HttpResponse


def requests(one: httpx.Request, other: httpx2.Request) -> list[HttpRequest]:
    return [one, other]


def responses(one: httpx.Response, other: httpx2.Response) -> list[HttpResponse]:
    return [one, other]


def clients(
    one: httpx.Client, two: httpx.AsyncClient, other: httpx2.Client, another: httpx2.AsyncClient
) -> list[HttpClient]:
    return [one, two, other, another]


def mistakes(url: httpx.URL, response: httpx.Response) -> None:
    takes_a_request(url)  # type: ignore[arg-type]
    takes_a_request(response)  # type: ignore[arg-type]


def takes_a_request(request: HttpRequest) -> HttpRequest:
    return request
