"""Tags: the names by which a write reaches the stored responses that it makes invalid."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections.abc import Iterable, Sequence
from hashlib import blake2b
from zlib import crc32

from ..protocol.paths import normal_path, resolved

__all__ = [
    "ANY_ORIGIN",
    "MAX_DEPTH",
    "NEAR",
    "at_any_origin",
    "bundles_of",
    "exact_tags",
    "explicit_tag",
    "is_bundle",
    "own_path_tags",
    "own_size",
    "partition_tag",
    "path_tags",
    "shared_above",
    "shared_tag",
    "subtree_of",
    "subtree_tags",
    "write_tags",
]

MAX_DEPTH = 64
"""Segments of a path that have a tag of their own; what is deeper is reached by the tag of its ancestor there."""


NEAR = 3
"""Ancestors from the root on whose tags are kept for others to share: `/`, `/api`, `/api/Product`. The others of a path
belong to it, most likely."""


LONG = 512
"""Characters of a path that is named in full in the tag of its subtree."""


MAX_SHARED = 1024


_shared: dict[str, str] = {}


ANY_ORIGIN = "*"
"""Takes the place of the origin in a tag that is dirtied at all origins, where they cannot be known."""


def path_tags(origin: str, path: str) -> tuple[str, ...]:
    """The implicit tags of an answer: its exact path, and as subtrees its path and each ancestor, to MAX_DEPTH."""
    segments = normal_path(path)
    tags = _carried(origin, segments)
    if ".." in segments:  # a server may resolve it, or not
        tags += _carried(origin, resolved(segments))
    return tags


def _carried(origin: str, segments: Sequence[str]) -> tuple[str, ...]:
    path = "/".join(segments)
    exact = f"={origin}/{path}"
    if not segments:
        return (exact, f"^{origin}/")
    depth = len(segments)
    root = f"^{origin}/"
    above = [_shared.get(root) or shared_tag(root)]
    if depth <= MAX_DEPTH and len(path) < LONG:  # as nearly all are
        tag = f"^{origin}"
        for level in range(1, depth):
            tag = f"{tag}/{segments[level - 1]}"
            above.append((_shared.get(tag) or shared_tag(tag)) if level < NEAR else tag)
        above.append(f"^{origin}/{path}")
    else:
        whole = ""
        for level, segment in enumerate(segments[:MAX_DEPTH], 1):
            whole = f"{whole}/{segment}"
            tag = _tag(origin, whole)
            above.append(shared_tag(tag) if level < NEAR and level < depth else tag)
    above.append(exact)
    above.reverse()  # the nearest is dirtied most often
    return tuple(above)


def _tag(origin: str, path: str) -> str:
    """The tag of the subtree at a path; of a long one it holds the digest, or the tags of one answer took 100 KB."""
    if len(path) <= LONG:
        return f"^{origin}{path}"
    digest = blake2b(path.encode("utf-8", "surrogatepass"), digest_size=15).digest()
    return f"^{origin}//{urlsafe_b64encode(digest).decode()}"  # no segment is empty, so no path reads like this


def shared_tag(tag: str) -> str:
    """`tag`, which many answers carry, as one object for all of them."""
    there = _shared.get(tag)
    if there is None:
        if len(_shared) > MAX_SHARED:
            _shared.clear()
        there = _shared.setdefault(tag, tag)
    return there


def shared_above(tags: Sequence[str]) -> tuple[str, ...]:
    """`tags` of an answer that came from elsewhere, with the objects for those near the root that answers here have."""
    own = own_path_tags(tags)
    return tuple([tag if tag[:1] != "^" or tag in own else shared_tag(tag) for tag in tags])


def own_path_tags(tags: Sequence[str]) -> list[str]:
    """Of the implicit tags of an answer those that are no others' objects: its path, and what is far from the root."""
    exact = len(tags[0]) if tags else 0
    return [
        tag
        for tag in tags
        if tag[:1] == "="
        or (tag[:1] == "^" and (len(tag) >= exact or tag.count("/") > NEAR + 1 or tag.count("//") > 1))
    ]


def own_size(tags: Sequence[str], text: int) -> int:
    """Bytes of those of `tags` that are not the very objects which all that carry them have.

    - `text`: bytes of an ASCII string on top of its characters.
    """
    size = 0
    for tag in tags:
        if _shared.get(tag) is not tag:
            size += text + (len(tag) if tag.isascii() else 27 + 2 * len(tag))
    return size


def write_tags(origin: str, path: str) -> tuple[str, ...]:
    """The implicit tags a write dirties: everything below its path, and exactly its collection (any query)."""
    segments = normal_path(path)
    tags = _dirtied(origin, segments)
    if ".." in segments:
        tags += _dirtied(origin, resolved(segments))
    return tags


def _dirtied(origin: str, segments: Sequence[str]) -> tuple[str, ...]:
    below = _subtree(origin, segments)
    if not segments or len(segments) > MAX_DEPTH:  # then the collection is in that subtree
        return (below,)
    return (below, f"={origin}/{'/'.join(segments[:-1])}")


def subtree_tags(origin: str, path: str) -> tuple[str, ...]:
    """What to dirty so that all at and below a path is reached."""
    return tuple(tag for tag in write_tags(origin, path) if tag[0] == "^")


def exact_tags(origin: str, path: str) -> tuple[str, ...]:
    """What to dirty so that exactly the answers of a path are reached, with any query."""
    return tuple(tag for tag in path_tags(origin, path) if tag[0] == "=")


def subtree_of(exact: str) -> str:
    """The tag of all at and below the path of an exact tag."""
    *origin, path = exact[1:].split("/", 3)
    return _subtree("/".join(origin), path.split("/") if path else ())


def _subtree(origin: str, segments: Sequence[str]) -> str:
    return _tag(origin, "/" + "/".join(segments[:MAX_DEPTH]))


def explicit_tag(origin: str, tag: str) -> str:
    """The tag that a rule or a caller gave, at one origin."""
    return f"#{origin}#{tag}"


def at_any_origin(tag: str) -> str:
    """`tag` as it reads when it was dirtied at all origins."""
    kind = tag[:1]
    if kind == "#":
        return explicit_tag(ANY_ORIGIN, tag[1:].partition("#")[2])
    return f"{kind}{ANY_ORIGIN}/{tag.split('/', 3)[-1]}" if kind in ("=", "^") else tag


def partition_tag(partition: str) -> str:
    """Carried by all that one partition holds, so that a 401 can drop it."""
    return f"@{partition}"


ALL_EXPLICIT = "#"
"""Stands for the explicit tags of all origins."""


def bundles_of(tags: Iterable[str]) -> list[str]:
    """What may stand for explicit tags and partitions among `tags` where a table was full, to be asked after them.

    The explicit tags of one origin, then those of all; one of 256 buckets of partitions.
    """
    found: list[str] = []
    for tag in tags:
        if tag[:1] == "#":
            found += (tag[: tag.find("#", 1)], ALL_EXPLICIT)
        elif tag[:1] == "@":
            found.append(f"@%{crc32(tag.encode('utf-8', 'surrogatepass')) & 255:02x}")
    return found


def is_bundle(tag: str) -> bool:
    """Whether `tag` stands for explicit tags, or for partitions."""
    return tag[:2] == "@%" or (tag[:1] == "#" and "#" not in tag[1:])
