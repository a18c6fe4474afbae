"""What the keys and channels of a store are called. The tag in braces decides on which node of a cluster a key lies."""

from __future__ import annotations

from typing import Any

from ...errors import ConfigurationError
from ...support.showing import shown

__all__ = ["ClusterNames", "Names", "check_prefix", "names_of"]


class Names:
    """Those at one server. Stores of earlier versions have them, so they stay as they are.

    - `pushes`: where changes are published, and `channel`: where all of them are, for processes of the first version;
      "": nowhere, for there are none. `rows`: what the names of all records begin with.
    """

    __slots__ = ("channel", "prefix", "pushes", "rows")

    def __init__(self, prefix: str) -> None:
        self.prefix: str = prefix
        self.channel: str = f"{prefix}:bumps"
        self.pushes: str = f"{prefix}:pushes"
        self.rows: str = f"{prefix}:row:"

    def ledger(self, name: str) -> str:
        """A key of the ledger."""
        return f"{self.prefix}:{{ledger}}:{name}"

    def row(self, key: str) -> str:
        """The record of `key`."""
        return f"{self.rows}{key}"

    def claim(self, key: str) -> str:
        """The right to fetch `key`."""
        return f"{self.prefix}:claim:{key}"


class ClusterNames(Names):
    """Those in a cluster: a ledger and its channels in one slot, that of its prefix; each record with its claim."""

    __slots__ = ()

    def __init__(self, prefix: str) -> None:
        super().__init__(prefix)
        self.channel: str = ""
        self.pushes: str = self.ledger("pushes")

    def ledger(self, name: str) -> str:
        """A key of the ledger."""
        return f"{self.prefix}:{{{self.prefix or 'ledger'}}}:{name}"  # an empty tag would be none

    def row(self, key: str) -> str:
        """The record of `key`."""
        return f"{self.rows}{{{key}}}"

    def claim(self, key: str) -> str:
        """The right to fetch `key`."""
        return f"{self.prefix}:claim:{{{key}}}"


def names_of(client: Any, prefix: str) -> Names:
    """The names at `client`."""
    made: Names = getattr(client, "names", Names)(prefix)
    return made


def check_prefix(client: Any, prefix: str) -> None:
    """Raise ConfigurationError if `prefix` cannot be used at `client`."""
    if isinstance(names_of(client, prefix), ClusterNames) and ("{" in prefix or "}" in prefix):
        raise ConfigurationError(f"prefix must have no braces in a cluster, where they are a tag, not {shown(prefix)}")
