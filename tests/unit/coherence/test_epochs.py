"""The epoch, the dirtied tags and the settle window."""

from __future__ import annotations

import threading

import pytest

from pywats_cache.coherence.epochs import MAX_ORIGINS, Coherence
from pywats_cache.coherence.tags import ANY_ORIGIN, at_any_origin, explicit_tag, partition_tag, path_tags, write_tags

ORIGIN = "http://host:80"


def is_dirtied(write: str, read: str) -> bool:
    coherence = Coherence()
    coherence.bump(write_tags(ORIGIN, write))
    return coherence.dirtied_since(path_tags(ORIGIN, read), 0)


@pytest.mark.parametrize(
    ("write", "read", "dirtied"),
    [
        ("/a/b/c", "/a/b/c", True),
        ("/a/b/c", "/a/b/c/d", True),
        ("/a/b/c", "/a/b", True),
        ("/a/b/c", "/a/b/", True),
        ("/a/b/c", "/a", False),
        ("/a/b/c", "/", False),
        ("/a/b/c", "/a/b/other", False),
        ("/a/b/c", "/a/b/cd", False),
        ("/api/Product", "/api/Production", False),
        ("/api/Product", "/api/Production/x", False),
        ("/a", "/", True),
        ("/a", "/b", False),
        ("/", "/", True),
        ("/", "/anything/below", True),
        ("/A/%42", "/a/b", True),
        ("/a/b%2Fc", "/a/b", False),
        ("/a/b%2Fc", "/a", True),
        ("/a/b%20", "/a/b", True),
    ],
)
def test_a_write_dirties_what_is_below_its_path_and_its_collection(write: str, read: str, dirtied: bool) -> None:
    assert is_dirtied(write, read) is dirtied


@pytest.mark.parametrize("origin", ["http://a:80", "https://[::1]:443", "http://a:80 (other.example)"])
def test_tags_read_alike_at_any_origin(origin: str) -> None:
    assert tuple(map(at_any_origin, path_tags(origin, "/api/a b"))) == path_tags(ANY_ORIGIN, "/api/a b")
    assert at_any_origin(explicit_tag(origin, "x#y/z")) == explicit_tag(ANY_ORIGIN, "x#y/z")
    assert at_any_origin(partition_tag("p")) == partition_tag("p")


def test_tags_of_different_origins_differ() -> None:
    coherence = Coherence()
    coherence.bump((*write_tags("http://one", "/a"), explicit_tag("http://one", "t")))
    assert not coherence.dirtied_since((*path_tags("http://two", "/a"), explicit_tag("http://two", "t")), 0)


def test_a_path_an_explicit_tag_and_a_partition_never_look_alike() -> None:
    tags = {*path_tags("o", "/t"), *write_tags("o", "/t"), explicit_tag("o", "t"), partition_tag("t")}
    assert explicit_tag("o", "t") not in {*path_tags("o", "/t"), *write_tags("o", "/t"), partition_tag("t")}
    assert len(tags) == len(path_tags("o", "/t")) + 1 + 2


def test_what_began_at_the_epoch_of_a_bump_or_later_is_valid() -> None:
    coherence = Coherence()
    before = coherence.epoch
    after = coherence.bump(["t"])
    assert after == coherence.epoch == before + 1
    assert coherence.dirtied_since(["t"], before)
    assert not coherence.dirtied_since(["t"], after)
    assert not coherence.dirtied_since(["other"], before)


def test_bump_all_dirties_everything_that_began_before() -> None:
    coherence = Coherence()
    coherence.bump(["t"])
    before = coherence.epoch
    after = coherence.bump_all()
    assert coherence.dirtied_since(["anything"], before)
    assert coherence.dirtied_since([], before)
    assert not coherence.dirtied_since(["t"], after)


def test_a_full_table_folds_and_forgets_no_write() -> None:
    coherence = Coherence(max_tags=10)
    epochs = {f"t{n}": coherence.bump([f"t{n}"]) for n in range(100)}
    for tag, epoch in epochs.items():
        assert coherence.dirtied_since([tag], epoch - 1), "a fold may only dirty more, never less"
    assert not coherence.dirtied_since(["t99"], epochs["t99"])
    assert len(coherence._dirtied) <= 10


def test_a_fold_keeps_the_younger_half_exact() -> None:
    coherence = Coherence(max_tags=10)
    for n in range(11):
        coherence.bump([f"t{n}"])
    assert not coherence.dirtied_since(["untouched"], coherence.epoch - 1)
    assert coherence.dirtied_since(["untouched"], 0)


def test_dirtiest_names_the_tag_that_was_dirtied_last() -> None:
    coherence = Coherence()
    coherence.bump(["a"])
    coherence.bump(["b"])
    assert coherence.dirtiest(["a", "b", "c"]) == ("b", 2)
    assert coherence.dirtiest(["a"]) == ("a", 1)
    coherence.bump_all()
    assert coherence.dirtiest(["a", "b"]) == (None, 3)


def test_a_settle_window_ends() -> None:
    coherence = Coherence()
    coherence.settle(["t"], now=100.0, until=110.0)
    assert coherence.is_settling(["x", "t"], 100.0)
    assert coherence.is_settling(["t"], 109.9)
    assert not coherence.is_settling(["t"], 110.0)
    assert not coherence.is_settling(["x"], 100.0)


def test_a_shorter_window_does_not_end_a_longer_one() -> None:
    coherence = Coherence()
    coherence.settle(["t"], 0.0, 30.0)
    coherence.settle(["t"], 1.0, 6.0)
    assert coherence.is_settling(["t"], 20.0)


def test_ended_windows_are_forgotten() -> None:
    coherence = Coherence()
    for n in range(100):
        coherence.settle([f"t{n}"], float(n), n + 0.5)
    assert len(coherence._settling) == 1


def test_too_many_windows_become_one_for_all() -> None:
    coherence = Coherence(max_tags=5)
    coherence.settle([f"t{n}" for n in range(6)], 0.0, 10.0)
    assert coherence.is_settling(["anything"], 9.0)
    assert not coherence.is_settling(["t1"], 10.0)
    assert len(coherence._settling) == 0


def test_origins_are_those_seen_until_they_are_too_many() -> None:
    coherence = Coherence()
    for n in range(MAX_ORIGINS):
        coherence.saw(f"o{n}")
        coherence.saw(f"o{n}")
    assert coherence.origins() == [f"o{n}" for n in range(MAX_ORIGINS)]
    for n in range(MAX_ORIGINS, MAX_ORIGINS + 10):
        coherence.saw(f"o{n}")
    assert coherence.origins() is None


def test_bumps_of_many_threads_count_once_each() -> None:
    coherence = Coherence()
    start = threading.Barrier(4)

    def bump() -> None:
        start.wait()
        for _ in range(500):
            coherence.bump(["t"])

    threads = [threading.Thread(target=bump) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert coherence.epoch == 2000
    assert coherence.dirtied_since(["t"], 1999)
