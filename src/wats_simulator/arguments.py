"""Checks of what users of the simulated server pass: errors name the parameter, the value and what is allowed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

_DEFAULT_USERS = ("demo", "alice", "bob")


def seconds(name: str, value: float) -> float:
    """Return a time from 0 to an hour."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name} must be a number of seconds, not {value!r}")
    if not 0 <= value <= 3600:
        raise ValueError(f"{name} must be from 0 to 3600 seconds, not {value!r}")
    return float(value)


def whole(name: str, value: int, least: int, most: int, meaning: str = "") -> int:
    """Return a whole number from `least` to `most`."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be a whole number, not {value!r}")
    if not least <= value <= most:
        raise ValueError(f"{name} must be from {least}{meaning} to {most}, not {value}")
    return value


def flag(name: str, value: bool) -> bool:
    """Return True or False."""
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be True or False, not {value!r}")
    return value


def times(value: int | None) -> int | None:
    """Return how often something happens; None is for ever."""
    return None if value is None else whole("times", value, 1, 1_000_000)


def request(method: str | None, path: str) -> None:
    """Check which requests are meant: a method (None: any) and a pattern of the path, which can match one at all."""
    for name, value in (("method", method), ("path", path)):
        if not isinstance(value, str) and (name, value) != ("method", None):
            raise TypeError(f"{name} must be a string, not {value!r}")
    if method is not None and not method.isalpha():
        raise ValueError(f"method must be one such as GET, or None for any, not {method!r}")
    if not path.startswith(("/", "*", "?", "[")):
        raise ValueError(f"path must be a pattern such as /api/Product/*, not {path!r}")


def passwords(users: Iterable[str] | Mapping[str, str] | None) -> dict[str, str]:
    """Return the password of each user; users given as names get one of their own."""
    if users is None:
        users = _DEFAULT_USERS
    if isinstance(users, (str, bytes)) or not isinstance(users, (Mapping, Iterable)):
        raise TypeError(f"users must be names, or a mapping of names to passwords, not {type(users).__name__}")
    names = list(users)
    if not names:
        raise ValueError("users must name at least one user, not none")
    for name in names:
        if not isinstance(name, str):
            raise TypeError(f"users must be names of type str, not {name!r}")
        if not name or ":" in name:
            raise ValueError(f"users must be non-empty names without a colon, not {name!r}")
    known = dict(users) if isinstance(users, Mapping) else {name: f"{name}-simulated" for name in names}
    for name, password in known.items():
        if not isinstance(password, str):
            raise TypeError(f"the password of user {name!r} in users must be a str, not {type(password).__name__}")
    return known
