"""Path patterns, and the table that finds them."""

from __future__ import annotations

import pytest

from pywats_cache import ConfigurationError, ConfigurationTypeError
from pywats_cache.policy.patterns import ANY, REST, RouteTable, parse_pattern
from pywats_cache.support.showing import shown


def find(patterns: list[str], path: str, *, ignore_case: bool = False) -> list[str]:
    table: RouteTable[str] = RouteTable(ignore_case=ignore_case)
    for pattern in patterns:
        assert table.add(pattern, "GET", pattern) is None
    return table.find(path, "GET")


@pytest.mark.parametrize(
    ("pattern", "segments"),
    [
        ("/", ("",)),
        ("/a", ("a",)),
        ("/a/", ("a", "")),
        ("/a/{id}/c", ("a", ANY, "c")),
        ("/*/b", (ANY, "b")),
        ("/**", (REST,)),
        ("/a/{id}/**", ("a", ANY, REST)),
        ("/a%2Fb", ("a%2Fb",)),
        ("/odata(x=1)", ("odata(x=1)",)),
    ],
)
def test_a_pattern_is_split_into_segments(pattern: str, segments: tuple[str, ...]) -> None:
    assert parse_pattern(pattern) == segments


@pytest.mark.parametrize(
    "pattern",
    [
        "",
        "a",
        "a/b",
        "http://host/a",
        "/a?x=1",
        "/a#b",
        "/a b",
        "/a\n",
        "/**/a",
        "/a/**/b",
        "/a/b**",
        "/a/***",
        "/a/x{id}",
        "/a/{id}x",
        "/a/{}",
        "/a/{1d}",
        "/a/{id",
        "/a/*b",
        "/a/../b",
        "/./a",
    ],
)
def test_a_malformed_pattern_is_refused_with_the_reason(pattern: str) -> None:
    with pytest.raises(ConfigurationError, match="pattern must be a path such as") as caught:
        parse_pattern(pattern)
    assert f"{shown(pattern)}: " in str(caught.value)


@pytest.mark.parametrize("pattern", [None, 5, b"/a", ("/a",)])
def test_what_is_no_string_is_no_pattern(pattern: object) -> None:
    with pytest.raises(ConfigurationTypeError, match="pattern must be a string"):
        parse_pattern(pattern)


@pytest.mark.parametrize(
    ("pattern", "path", "matches"),
    [
        ("/api/Product", "/api/Product", True),
        ("/api/Product", "/api/product", False),
        ("/api/Product", "/api/Production", False),
        ("/api/Product", "/api/Product/", False),
        ("/api/Product/**", "/api/Product", True),
        ("/api/Product/**", "/api/Product/", True),
        ("/api/Product/**", "/api/Product/a/b", True),
        ("/api/Product/**", "/api/Production", False),
        ("/api/{id}", "/api/x", True),
        ("/api/{id}", "/api/", False),
        ("/api/{id}", "/api/x/y", False),
        ("/api/*/z", "/api/x/z", True),
        ("/api/{id}", "/api/x%2Fy", True),
        ("/**", "/", True),
        ("/", "/", True),
        ("/", "/a", False),
        ("/a%20b", "/a%20b", True),
        ("/a%20b", "/a b", False),
    ],
)
def test_a_path_is_matched_raw_by_whole_segments(pattern: str, path: str, matches: bool) -> None:
    assert (find([pattern], path) == [pattern]) is matches


def test_the_most_specific_comes_first() -> None:
    patterns = ["/**", "/a/**", "/a/b/**", "/{x}/b/c", "/a/{x}/c", "/a/b/{x}", "/a/b/c", "/{x}/{y}/{z}"]
    assert find(patterns, "/a/b/c") == [
        "/a/b/c",
        "/a/b/{x}",
        "/a/{x}/c",
        "/{x}/b/c",
        "/{x}/{y}/{z}",
        "/a/b/**",
        "/a/**",
        "/**",
    ]


def test_a_dead_end_of_literals_does_not_hide_a_template() -> None:
    assert find(["/a/b/x", "/{t}/b/c"], "/a/b/c") == ["/{t}/b/c"]


def test_only_the_method_asked_for_is_found() -> None:
    table: RouteTable[int] = RouteTable()
    table.add("/a", "GET", 1)
    table.add("/a", "POST", 2)
    table.add("/**", "DELETE", 3)
    assert [table.find("/a", m) for m in ("GET", "POST", "DELETE", "PUT")] == [[1], [2], [3], []]


def test_adding_what_is_there_returns_it_and_changes_nothing() -> None:
    table: RouteTable[int] = RouteTable()
    assert table.add("/a/{id}", "GET", 1) is None
    assert table.add("/a/*", "GET", 2) == 1
    assert table.find("/a/x", "GET") == [1]


def test_case_is_ignored_only_on_demand() -> None:
    assert find(["/Api/{id}"], "/API/X") == []
    assert find(["/Api/{id}"], "/API/X", ignore_case=True) == ["/Api/{id}"]


def test_many_templates_do_not_make_a_long_path_slow() -> None:
    # 2^24 branches would never end; the tree merges templates, so 24 levels give 25 nodes.
    assert find(["/" + "/".join(["{x}"] * 24)], "/" + "/".join("a" * 24)) == ["/" + "/".join(["{x}"] * 24)]
