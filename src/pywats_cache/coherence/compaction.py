"""What goes when a table of tags is full and what carries the tags cannot be visited: compaction along the paths.

A table maps tags to numbers: the epoch of a write, or the end of a settle window. All that carries the tag of a path
carries the tag of each subtree above it, so the tags below one subtree may be replaced by the tag of that subtree with
the highest of their numbers: nothing is missed, but its other responses are reached too. Each step takes the fullest
subtree, and goes no higher than it must:

1. what a subtree's tag covers already goes at no cost;
2. tags of subtrees are replaced by one of at least two segments, then exact tags too: a response is reached only by a
   write below its own first two segments;
3. then by one of one segment, then by the root of their origin. Each of these counts as a floor;
4. what is left goes into the common floor, the oldest first. It counts too.

Explicit tags and partitions have a share of their own, so that they never push out those of paths, nor the other way
round. What does not fit goes into a *bundle* (`tags.bundles_of`): the explicit tags of one origin, or else of all; the
partitions of one of 256 buckets. A bundle reaches only what carries such a tag. Each counts as a floor.

Whoever applies this sets what `set` names *before* `gone` goes, and asks for a tag *before* the tags above it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from heapq import heapify, heappop, heapreplace
from typing import Generic, NamedTuple, TypeVar

from .tags import ALL_EXPLICIT, LONG, MAX_DEPTH, bundles_of, is_bundle

__all__ = ["Compaction", "compacted", "over_roots", "subtrees_above"]

Number = TypeVar("Number", int, float)
SEGMENTS = 2
"""A subtree of fewer segments counts as a floor."""
MOST_OF_IT = 0.75
"""A smaller subtree that holds so much of a fuller one goes instead of it."""
_STEPS = ((SEGMENTS, False), (SEGMENTS, True), (1, False), (1, True), (0, True))
"""The least segments of the subtrees that take over, and whether exact tags go too."""


class Compaction(NamedTuple, Generic[Number]):
    """What makes a table smaller.

    - `set`: tags and their numbers, to be set first; `gone`: the tags to be removed then.
    - `floor`: what the common floor is raised to, or None.
    - `floors`: how often it had to go higher than `SEGMENTS`.
    - `told`: the highest number of a bundle in `set`, for those who do not ask for bundles; or None.
    """

    set: dict[str, Number]
    gone: list[str]
    floor: Number | None
    floors: int
    told: Number | None


def compacted(table: Mapping[str, Number], most: int) -> Compaction[Number]:
    """How `table` gets along with at most `most` tags. O(tags), some microseconds each."""
    if len(table) <= most:
        return Compaction({}, [], None, 0, None)
    left = dict(table)
    named = [tag for tag in left if tag[:1] == "#"]
    partitions = [tag for tag in left if tag[:1] == "@"]
    others = [tag for tag in left if tag[:1] not in ("#", "@") and _is_apart(tag)]
    floor, floors = _by_age(left, others, most // 4 if len(others) < len(left) else most)
    _bundle(left, named, most // 4)
    rest = _bundle(left, partitions, most // 4 if len(partitions) < len(left) else most)
    if rest is not None:
        floor, floors = rest if floor is None else max(floor, rest), floors + 1
    apart = sum(_is_apart(tag) for tag in left)
    tree: _Tree[Number] = _Tree(left)
    tree.fit(most - apart)
    floors += tree.floors
    if len(left) > most:
        rest, more = _by_age(left, [tag for tag in left if not _is_apart(tag)], most - apart)
        floor = rest if floor is None else floor if rest is None else max(floor, rest)
        floors += more
    changed = {tag: number for tag, number in left.items() if table.get(tag) != number}
    bundles = [number for tag, number in changed.items() if is_bundle(tag)]
    told = max(bundles) if bundles else None
    return Compaction(changed, [tag for tag in table if tag not in left], floor, floors + len(bundles), told)


def over_roots(change: Compaction[Number], table: Mapping[str, Number]) -> Compaction[Number] | None:
    """`change` of `table` for who asks for no bundles: roots of origins take over explicit tags.

    None if something has no root to go to.
    """
    made = {tag: number for tag, number in change.set.items() if not is_bundle(tag)}
    for bundle in change.set.keys() - made.keys():
        root = f"^{bundle[1:]}/"
        if bundle[0] != "#" or root == "^/":
            return None
        number = change.set[bundle]
        made[root] = max(number, table.get(root, number), made.get(root, number))
    if change.floor is not None:
        return None
    return change._replace(set=made, gone=[tag for tag in change.gone if tag not in made], told=None)


def subtrees_above(tag: str) -> list[str]:
    """The tags of subtrees that all carry who carry `tag`, the nearest first; [] for a tag that is of no path."""
    root = _root(tag)
    if root is None:
        return []
    path, above = tag[len(root) :], "^" + root[1:]
    if path[:1] == "/":  # a digest, of whatever path
        return [above]
    if tag == above:
        return []
    segments = path.split("/") if path else []
    found = [above]
    for segment in segments[: MAX_DEPTH if tag[0] == "=" else -1]:
        above = above + segment if len(found) == 1 else f"{above}/{segment}"
        if len(above) - len(root) >= LONG:
            break
        found.append(above)
    found.reverse()
    return found


def _root(tag: str) -> str | None:
    """The tag of a path up to its origin's slash; None where there is none."""
    if tag[:1] not in ("^", "="):
        return None
    scheme = tag.find("://")
    end = tag.find("/", scheme + 3 if scheme >= 0 else 0)
    return None if end < 0 else tag[: end + 1]


def _is_apart(tag: str) -> bool:
    return _root(tag) is None


def _by_age(left: dict[str, Number], tags: list[str], most: int) -> tuple[Number | None, int]:
    """Keep the youngest `most` of `tags`, or fewer. Returns the floor for the others, and whether there is one."""
    if len(tags) <= most:
        return None, 0
    floor = sorted([left[tag] for tag in tags])[len(tags) - most - 1]
    for tag in tags:
        if left[tag] <= floor:
            del left[tag]
    return floor, 1


def _bundle(left: dict[str, Number], tags: list[str], most: int) -> Number | None:
    """Keep the youngest of `tags`, explicit ones or partitions, and put the others into bundles, at most `most` in all.

    Returns the floor for partitions whose buckets are too many.
    """
    if len(tags) <= most:
        return None
    single = [tag for tag in tags if not is_bundle(tag)]
    bundles = {tag: left.pop(tag) for tag in tags if is_bundle(tag)}
    keep = most // 2
    limit = sorted([left[tag] for tag in single])[-keep - 1] if len(single) > keep else None
    for tag in single:
        if limit is not None and left[tag] <= limit:
            number = left.pop(tag)
            bundle = bundles_of((tag,))[0]
            bundles[bundle] = max(number, bundles.get(bundle, number))
    if len(bundles) > most - keep:
        over = max(bundles.values())
        if tags[0][0] == "@":
            return over
        bundles = {ALL_EXPLICIT: over}
    left.update(bundles)
    return None


class _Tree(Generic[Number]):
    """The tags of paths in `left`, which it makes fewer.

    - `above`: by tag its subtrees, the nearest first; `below`: by subtree the tags that may go into it in this step.
    """

    def __init__(self, left: dict[str, Number]) -> None:
        self.left: dict[str, Number] = left
        self.above = {tag: subtrees_above(tag) for tag in left if not _is_apart(tag)}
        self.below: dict[str, list[str]] = {}
        self.size = len(self.above)
        self.exact = False
        self.floors = 0

    def fit(self, most: int) -> None:
        """Go on until there are at most `most`, or nothing is left but the roots of origins."""
        if self.size <= most:
            return
        self._prune()
        for least, exact in _STEPS:
            if self.size <= most:
                return
            self._index(least)
            self.exact = exact
            for subtree in self._fullest():
                self._replace(subtree)
                self.floors += least < SEGMENTS
                if self.size <= most:
                    break
            self._prune()

    def _index(self, least: int) -> None:
        self.below = {}
        for tag, above in self.above.items():
            if tag in self.left:
                for subtree in above[: len(above) - least]:  # the last one is the root
                    self.below.setdefault(subtree, []).append(tag)

    def _fullest(self) -> Iterator[str]:
        """The subtrees that are worth it, the fullest first."""
        heap = [(-len(tags), subtree) for subtree, tags in self.below.items()]
        heapify(heap)
        while heap:
            count, subtree = heap[0]
            live = self._live(subtree)
            if len(live) + (subtree in self.left) < 2:
                heappop(heap)
            elif len(live) != -count:
                heapreplace(heap, (-len(live), subtree))
            else:
                yield self._narrowed(subtree, live)

    def _live(self, subtree: str) -> list[str]:
        """What goes into it: tags of subtrees, and exact ones if it is their turn."""
        return [tag for tag in self.below[subtree] if tag in self.left and (self.exact or tag[0] == "^")]

    def _narrowed(self, subtree: str, live: list[str]) -> str:
        """The smallest subtree that still holds most of `live`."""
        while True:
            inner = Counter([_next_below(self.above[tag], subtree) for tag in live])
            best, count = inner.most_common(1)[0]
            if best is None or count < 2 or count < MOST_OF_IT * len(live):
                return subtree
            subtree, live = best, [tag for tag in live if best in self.above[tag]]

    def _replace(self, subtree: str) -> None:
        """Put the subtree in the place of all below it."""
        left, gone = self.left, self._live(subtree)
        number = max([left[tag] for tag in gone])
        if subtree not in left:
            self.size += 1
            if subtree not in self.above:
                self.above[subtree] = subtrees_above(subtree)
            for above in self.above[subtree]:
                if above in self.below:
                    self.below[above].append(subtree)
        left[subtree] = max(number, left.get(subtree, number))
        for tag in gone:
            del left[tag]
        covered = [tag for tag in self.below[subtree] if left.get(tag, number + 1) <= number]  # exact ones
        for tag in covered:
            del left[tag]
        self.size -= len(gone) + len(covered)

    def _prune(self) -> None:
        """Take out what a subtree above covers already."""
        left = self.left
        covered = [
            tag
            for tag, above in self.above.items()
            if tag in left and any(left.get(subtree, -1) >= left[tag] for subtree in above)
        ]
        for tag in covered:
            del left[tag]
        self.size -= len(covered)


def _next_below(above: list[str], subtree: str) -> str | None:
    """Of the subtrees `above` a tag, the nearest first, the one just below `subtree`."""
    at = above.index(subtree)
    return above[at - 1] if at else None
