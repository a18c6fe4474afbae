"""What helps where a server refuses: which right is missing, and the line that grants it."""

from __future__ import annotations

import re

__all__ = ["remedy_for"]

NOT_SIGNED_IN = (
    "the server refuses the user name or the password that the URL gives; a password is percent-encoded there"
)


def remedy_for(kind: str, text: str, user: str | None, prefix: str) -> str | None:
    """What to do about an error of redis-py, in words; None: nothing is known.

    - `kind`: the name of its class. `text`: what the server said.
    - `user`: the one that signs in, None if that is the server's default.
    """
    if kind == "AuthenticationError":
        return NOT_SIGNED_IN
    if "cluster support disabled" in text:
        return "the server is no node of a cluster: write redis:// in place of redis+cluster://"
    command = re.search(r"no permissions to run the '([\w|-]{1,40})' command", text, re.IGNORECASE)
    if command is not None:
        return _granted(text, user, f"run {command[1]!r}", f"+{command[1]}")
    if re.search(r"no permissions to access (a|one of the) keys?", text, re.IGNORECASE):
        return _granted(text, user, "use the keys of this cache", f"~{prefix}:*")
    if re.search(r"no permissions to access (a|one of the) channels?", text, re.IGNORECASE):
        return _granted(text, user, "use the channels of this cache", f"&{prefix}:*")
    unknown = re.search(r"unknown (?:redis )?command '?`?([A-Za-z|-]{1,40})", text, re.IGNORECASE)
    if unknown is not None:
        return f"the server, or the proxy before it, does not know the command {unknown[1].lower()!r}"
    return None


def _granted(text: str, user: str | None, what: str, rule: str) -> str:
    named = re.search(r"\buser ([\w.-]{1,64}) has no", text, re.IGNORECASE)
    name = named[1] if named else user or "default"
    if not re.fullmatch(r"[\w.-]{1,64}", name):
        name = "USER"
    return f"the user {name} may not {what}: ACL SETUSER {name} {rule}"
