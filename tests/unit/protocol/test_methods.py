"""What the answers to other methods than GET change of what is stored."""

from __future__ import annotations

import pytest
from header_fields import NOW, headers

from pywats_cache.protocol.freshness import freshness
from pywats_cache.protocol.methods import head_effect, invalidated, usable_for_get

URL = "http://Example.com:80/a/b?q=1#f"


class TestOtherMethods:
    @pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "M-SEARCH"])
    @pytest.mark.parametrize("status", [200, 201, 204, 303])
    def test_an_unsafe_method_invalidates_its_target(self, method: str, status: int) -> None:
        assert invalidated(method, status, URL, {}) == ["http://example.com/a/b?q=1"]

    @pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "TRACE"])
    def test_a_safe_method_invalidates_nothing(self, method: str) -> None:
        assert invalidated(method, 200, URL, headers(location="/c")) == []

    @pytest.mark.parametrize("status", [100, 400, 404, 500, 503])
    def test_an_error_invalidates_nothing(self, status: int) -> None:
        assert invalidated("POST", status, URL, headers(location="/c")) == []

    @pytest.mark.parametrize(
        ("location", "url"),
        [
            ("/c", "http://example.com/c"),
            ("c?x=1", "http://example.com/a/c?x=1"),
            ("HTTP://EXAMPLE.com:80/c#x", "http://example.com/c"),
            ("//example.com/c", "http://example.com/c"),
            ("", None),
            ("http://other.example/c", None),
            ("https://example.com/c", None),
            ("http://example.com:81/c", None),
            ("http://example.com:x/c", None),
            ("http://[::1/c", None),
        ],
    )
    @pytest.mark.parametrize("name", ["location", "content-location"])
    def test_other_urls_of_the_same_origin(self, name: str, location: str, url: str | None) -> None:
        expected = ["http://example.com/a/b?q=1", *([] if url is None else [url])]
        assert invalidated("POST", 200, URL, {name: [location]}) == expected

    def test_an_ipv6_host_is_kept(self) -> None:
        assert invalidated("PUT", 200, "https://[::1]:443/a", headers(location="/b")) == [
            "https://[::1]/a",
            "https://[::1]/b",
        ]

    @pytest.mark.parametrize(
        ("status", "control", "location", "usable"),
        [
            (200, "max-age=5", "", True),
            (200, "max-age=5", "/a/b?q=1", True),
            (200, "max-age=5", "http://example.com/a/b?q=1", True),
            (200, "max-age=5", "/a/b", False),
            (200, "max-age=0", "", False),
            (200, None, "", False),
            (201, "max-age=5", "", False),
            (200, "max-age=5", [], False),
            (200, "max-age=5", ["", ""], False),
        ],
    )
    def test_a_post_answer_for_later_gets(
        self, status: int, control: str | None, location: str | list[str], usable: bool
    ) -> None:
        response = headers(control, content_location=location)
        assert usable_for_get(status, URL, response, freshness(status, response, NOW)) is usable

    def test_a_head_updates_or_invalidates(self) -> None:
        stored = headers(etag='"a"', content_length="5")
        assert head_effect(200, headers(etag='"a"'), stored) == "update"
        assert head_effect(200, {}, stored) == "update"
        assert head_effect(200, headers(etag='"b"'), stored) == "invalidate"
        assert head_effect(200, headers(content_length="6"), stored) == "invalidate"
        assert head_effect(404, headers(etag='"b"'), stored) == "nothing"


@pytest.mark.parametrize("url", ["http://o:99999/a", "http://[::1/a"])
def test_a_write_to_a_url_that_cannot_be_taken_apart_names_no_other(url: str) -> None:
    assert invalidated("POST", 200, url, headers(location="/b", content_location="/c")) == [url]


def test_an_answer_to_such_a_write_serves_no_get() -> None:
    said = headers(cache_control="max-age=60", content_location="http://o:77777/b")
    assert not usable_for_get(200, "http://o:99999/a", said, freshness(200, said, NOW))
