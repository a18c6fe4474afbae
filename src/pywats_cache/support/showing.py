"""How values and texts of others are shown in messages, logs and tables: without secrets or control characters.

Every message that repeats a value goes through `shown`, every one that repeats a URL through `shown_url`, and every
text that comes from a store, a service or a caller and goes to a terminal or a log through `printable`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from urllib.parse import unquote

__all__ = [
    "is_host",
    "is_relative",
    "looks_like_url",
    "printable",
    "shown",
    "shown_address",
    "shown_path",
    "shown_url",
    "without_arguments",
]

_NETWORK = ("redis", "rediss", "http", "https", "valkey", "valkeys", "unix")
_KNOWN = (*_NETWORK, "sqlite", "memory", "file", "ftp", "memcached", "mongodb", "mysql", "postgres", "postgresql")
"""Other words before `://` are not repeated: a password may stand there."""
_OF_MANY = ("redis+sentinel", "rediss+sentinel", "redis+cluster", "rediss+cluster")
"""Their URLs name several hosts, of which none is shown."""
# Compiled when they are used first (`re` keeps them): what has nothing to tell needs none of them.
_HOST = r"(?ai)(?:[\w.-]+|\[[0-9a-f:.]+\])(?::\d{1,5})?"
_HOSTNAME = r"(?i)[\w.-]+|[0-9a-f:.]+(?:%[\w.-]+)?"
_ADDRESS = r"(?ai)https?://[\w.-]+(?::\d{1,5})?(?:/[\w./~-]*)?"
_DATABASE = r"(?a)/\d{1,3}|/?"
_PLAIN_PATH = r"(?a)[\w./~-]*"
_FILE = r"/{1,2}(?:[A-Za-z]:)?[^:;=&?#\"'<>]*"
"""The path of a SQLite URL, perhaps with a drive, that no part of another URL can be in."""

_MARKS = re.escape("""@:;=&%?#"'<>\\|""")
_WORDS = r"[\w .,+*{}()!$^~-]{0,80}"
_NAME = rf"(?!.*//)[^{_MARKS}]{{1,400}}"
_DRIVE = r"(?s)[A-Za-z]:[\\/].*"
_SHARE = r"(?s)\\\\[\w.$-]+\\(?!\\).*"
_PIECES = r"[!-~]{4,}"
_START_OF_URL = rf"(?i)[^\w/]{{0,3}}(?:{'|'.join(one for one in _KNOWN if one not in ('file', 'ftp'))})\s*\S"
_URL = rf"(?i)://|^[^\w/]{{0,3}}(?:{'|'.join((*_NETWORK, 'sqlite', 'memory'))})\s*(?:[:;]|//)"


def printable(text: str, *, lines: bool = False) -> str:
    r"""`text` on one line, with what a terminal would act upon or not show as escapes: `\x1b`, `\n`, `\u202e`.

    - `lines`: keep line feeds, for a text of several lines that is our own.
    """
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() or (lines and char == "\n") else char.encode("unicode_escape").decode("ascii")
        for char in text
    )


def shown(value: object) -> str:
    """What a message says of a `value` that was given, as in "must be True or False, not …".

    Numbers, words and plain paths are repeated, a path without its query. Of any other text only the length or what is
    safe of a URL is told, of any other object its type: a repr may hold a secret.
    """
    return _shown(value, 2)


def _shown(value: object, depth: int) -> str:
    if isinstance(value, str):
        return _shown_text(str.__str__(value))
    kind = type(value)
    if value is None or kind in (bool, float, complex):
        return repr(value)
    if kind is int:
        assert isinstance(value, int)
        return repr(value) if value.bit_length() <= 1024 else "a number that large"
    if isinstance(value, type):
        return printable(type.__repr__(value))
    if depth and (kind is list or kind is tuple or kind is set) and isinstance(value, Iterable):
        items = list(value)
        if len(items) <= 6:
            inner = ", ".join(_shown(item, depth - 1) for item in items)
            if kind is tuple:
                return f"({inner},)" if len(items) == 1 else f"({inner})"
            return f"[{inner}]" if kind is list else f"{{{inner}}}"
    name = printable(kind.__name__)
    return f"{'an' if name[:1] in 'AEIOUaeiou' else 'a'} {name}"


def _shown_text(text: str) -> str:
    if re.fullmatch(_WORDS, text) and not (re.match(_START_OF_URL, text) and text.lower() not in _KNOWN):
        return repr(text)
    path, mark, query = _cut(text)
    if _is_path(text) or (mark and "@" not in query and path.startswith("/") and _is_path(path)):
        return f"{path + mark!r}…" if mark else repr(text)
    return shown_url(text) if "://" in text else f"a string of {len(text)} characters"


def _is_path(text: str) -> bool:
    """Whether `text` can be shown as a path: no part of a URL with a password looks like it."""
    share = text[1:].replace("\\", "/") if re.fullmatch(_SHARE, text) else None
    plain = unicodedata.normalize("NFKC", share or re.sub(_DRIVE, _slashes, text))
    return (
        "/" in plain and plain.isprintable() and bool(re.fullmatch(_NAME, plain)) and not re.match(_START_OF_URL, plain)
    )


def _slashes(found: re.Match[str]) -> str:
    r"""A path of Windows, `C:\cache\c.db`, as others have it."""
    return found[0][2:].replace("\\", "/")


def _cut(text: str) -> tuple[str, str, str]:
    """Path, `?` or `#`, and what follows."""
    found = re.search("[?#]", text)
    return (text, "", "") if found is None else (text[: found.start()], found[0], text[found.end() :])


def shown_path(path: object, instead: str = "that path") -> str:
    """The path of a file as a message names it; `instead` of one that may be a mistyped URL."""
    text = str(path)
    return printable(text) if _shown_text(text) == repr(text) else instead


def looks_like_url(text: str) -> bool:
    """Whether `text` is a URL, perhaps a mistyped one, so that it cannot be meant as the path of a file."""
    return re.search(_URL, _plain(text)) is not None


def is_relative(text: str) -> bool:
    """Whether `text` can be the path and query of a URL: no mistyped URL with a host, or with a password, is one."""
    return text.startswith("/") or not (looks_like_url(text) or set(":;@\\").intersection(_cut(_plain(text))[0]))


def _plain(text: str) -> str:
    for _ in range(3):  # encoded more than once, perhaps
        text = unquote(text)
    return unicodedata.normalize("NFKC", text)


def is_host(text: str) -> bool:
    """Whether `text` has the form of a host's name or address; else it may be a part of a mistyped password."""
    return re.fullmatch(_HOSTNAME, text) is not None


def shown_url(text: str, *, with_path: bool = False) -> str:
    """What may be shown of a text given as a URL: scheme and host where no part of a password can be in them.

    The path is shown of `sqlite:///…`, where it is that of a file; the number of a Redis database; and with `with_path`
    a plain path. What is no URL is called so.
    """
    scheme, separator, rest = str.__str__(text).strip().partition("://")
    scheme = scheme.lower()
    if separator and scheme in _OF_MANY:
        return f"{scheme}://…"
    if not separator or scheme not in _KNOWN:
        return "a URL of another kind" if separator and scheme.isidentifier() else "a text that is no URL"
    if scheme == "memory":
        return "memory://" if rest[:1] in ("", "?") else "memory://…"
    before, _, after = _cut(rest)
    if scheme == "sqlite":
        safe = re.fullmatch(_FILE, before) and "@" not in after and "%3a" not in before.lower()
        return printable(f"sqlite://{before}") if safe else "sqlite://…"
    authority, slash, path = before.partition("/")
    _, at, host = authority.rpartition("@")
    is_certain = rest.count("@") == len(at) and "%40" not in rest and re.fullmatch(_HOST, host)
    if not is_certain or scheme not in _NETWORK:
        return f"{scheme}://…"
    path = slash + path
    is_safe = re.fullmatch(_DATABASE, path) if scheme.startswith(("redis", "valkey")) else path in ("", "/")
    if not (is_safe or (with_path and re.fullmatch(_PLAIN_PATH, path))):
        path = "/…"
    return f"{scheme}://{host}{path}"


def shown_address(base_url: str) -> str:
    """The address of a server as it was given, if it is a plain one; else without what may be a secret."""
    return base_url if re.fullmatch(_ADDRESS, base_url) else shown_url(base_url, with_path=True)


def without_arguments(message: str, arguments: Iterable[str]) -> str:
    """`message` of a parser of command lines, with what of its `arguments` may hold a secret replaced."""
    # In pieces too: a parser may show some characters of an argument otherwise.
    texts = {part for one in arguments for part in (one, one.partition("=")[2], *re.findall(_PIECES, one)) if part}
    for text in sorted(texts, key=len, reverse=True):
        instead = shown(text)
        if instead != repr(text):
            for form in (repr(text), repr(text)[1:-1], text):
                message = message.replace(form, instead)
    return message
