"""Compaction of a full table of tags: it may reach more, never less, and says when it reaches further than promised."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from pywats_cache.coherence.compaction import compacted, subtrees_above
from pywats_cache.coherence.tags import bundles_of, explicit_tag, partition_tag, path_tags, write_tags
from pywats_cache.protocol.paths import normal_path

ORIGINS = ("http://one.example", "https://two.example:8443")
SEGMENT = st.sampled_from(["a", "b", "c", "..", "x" * 300])
PATH = st.lists(SEGMENT, max_size=5).map(lambda segments: "/" + "/".join(segments))
WHERE = st.tuples(st.sampled_from(ORIGINS), PATH)
NAME = st.tuples(st.sampled_from(ORIGINS), st.sampled_from("rst"))


@st.composite
def events(draw: Any) -> list[tuple[str, ...]]:
    """What each epoch dirtied."""
    paths = st.lists(WHERE.map(lambda at: write_tags(*at)), max_size=24)
    names = st.lists(NAME.map(lambda at: (explicit_tag(*at),)), max_size=8)
    partitions = st.lists(st.sampled_from("pq").map(lambda name: (partition_tag(name),)), max_size=3)
    return draw(st.permutations([*draw(paths), *draw(names), *draw(partitions)]))


def table_of(written: list[tuple[str, ...]]) -> dict[str, int]:
    return {tag: epoch for epoch, tags in enumerate(written, 1) for tag in tags}


def after(table: dict[str, int], most: int) -> tuple[dict[str, int], int, int]:
    change = compacted(table, most)
    small = {**table, **change.set}
    for tag in change.gone:
        del small[tag]
    return small, change.floor or 0, change.floors


def last(table: dict[str, int], floor: int, tags: tuple[str, ...]) -> int:
    return max(floor, *(table.get(tag, 0) for tag in (*tags, *bundles_of(tags))))


@given(events(), WHERE, st.lists(NAME, max_size=2), st.integers(1, 12))
def test_what_was_dirtied_stays_dirtied(
    written: list[tuple[str, ...]], read: tuple[str, str], names: list[tuple[str, str]], most: int
) -> None:
    table = table_of(written)
    small, floor, _ = after(table, most)
    tags = (*path_tags(*read), *(explicit_tag(read[0], name) for _, name in names), partition_tag("p"))
    assert last(small, floor, tags) >= last(table, 0, tags)
    assert len(small) <= most + len(ORIGINS)


@given(st.lists(WHERE, max_size=30), WHERE, st.integers(1, 12))
def test_an_answer_is_lost_to_a_write_below_its_own_first_two_segments_or_to_a_floor(
    written: list[tuple[str, str]], read: tuple[str, str], most: int
) -> None:
    table = table_of([write_tags(*at) for at in written])
    small, floor, floors = after(table, most)
    tags = path_tags(*read)
    lost = last(small, floor, tags) > last(table, 0, tags)
    if lost and not floors:
        origin, path = read
        own = normal_path(path)[:2]
        # One with ".." may be taken for another path too, which has its own first segments.
        assert ".." in path or any(o == origin and (".." in p or normal_path(p)[:2] == own) for o, p in written)


@given(st.lists(WHERE, max_size=30), st.integers(1, 12))
def test_nothing_changes_while_the_table_has_room(written: list[tuple[str, str]], most: int) -> None:
    table = table_of([write_tags(*at) for at in written])
    small, floor, floors = after(table, max(most, len(table)))
    assert (small, floor, floors) == (table, 0, 0)


@given(WHERE)
def test_all_that_carry_a_tag_carry_the_subtrees_above_it(at: tuple[str, str]) -> None:
    tags = path_tags(*at)
    for tag in tags:
        assert set(subtrees_above(tag)) <= set(tags), tag


@given(st.lists(WHERE, min_size=1, max_size=30), st.integers(1, 12))
def test_a_roots_turn_comes_only_when_nothing_deeper_can_go(written: list[tuple[str, str]], most: int) -> None:
    table = table_of([write_tags(*at) for at in written])
    change = compacted(table, most)
    if any(tag.count("/") == 3 and tag.endswith("/") and tag not in table for tag in change.set):
        assert change.floors


@given(st.lists(WHERE, max_size=30), st.lists(NAME, max_size=2), st.integers(8, 16))
def test_paths_never_push_out_explicit_tags_that_have_room(
    written: list[tuple[str, str]], names: list[tuple[str, str]], most: int
) -> None:
    named = {explicit_tag(*name): 1 for name in names}
    small, _, _ = after({**named, **table_of([write_tags(*at) for at in written])}, most)
    assert named.items() <= small.items()


@given(st.lists(NAME, max_size=40), st.lists(st.integers(0, 40), max_size=40), WHERE, st.integers(4, 40))
def test_explicit_tags_reach_only_what_carries_one_and_partitions_only_what_carries_one(
    names: list[tuple[str, str]], partitions: list[int], read: tuple[str, str], most: int
) -> None:
    written = [(explicit_tag(origin, f"{name}{n}"),) for n, (origin, name) in enumerate(names)]
    small, floor, floors = after(table_of(written), most)
    assert (floor, last(small, floor, path_tags(*read))) == (0, 0)
    assert last(small, floor, (partition_tag("p"),)) == 0
    assert floors <= len(ORIGINS)
    small, floor, _ = after(table_of([*written, *[(partition_tag(f"p{n}"),) for n in partitions]]), most)
    if not floor:  # for the partitions, whose buckets are too many here
        assert last(small, floor, path_tags(*read)) == 0


def test_one_busy_subtree_goes_before_everything_else() -> None:
    origin = ORIGINS[0]
    busy = [write_tags(origin, f"/api/report/{n}/steps/{n}") for n in range(50)]
    calm = [write_tags(origin, f"/config/site/{n}") for n in range(5)]
    small, floor, floors = after(table_of([*calm, *busy]), 40)
    assert not floor
    assert not floors
    assert last(small, floor, path_tags(origin, "/api/report/99")) == 55
    assert last(small, floor, path_tags(origin, "/config/site/3")) == 4
    assert last(small, floor, path_tags(origin, "/config/site/7")) == 0
    assert last(small, floor, path_tags(origin, "/api/product/7")) == 0


def test_a_write_to_each_of_many_roots_costs_one_origin() -> None:
    written = [write_tags(ORIGINS[0], f"/{n}") for n in range(100)]
    small, floor, floors = after(table_of(written), 40)
    assert (floor, floors) == (0, 1)
    assert small == {f"^{ORIGINS[0]}/": 100}


def test_many_origins_cost_the_oldest_of_them() -> None:
    written = [write_tags(f"http://h{n}.example", "/a") for n in range(100)]
    small, floor, floors = after(table_of(written), 40)
    assert floor == 60
    assert len(small) == 40
    assert floors > 1
