"""The data of the simulated server: plain tables in memory, one lock, one revision per tag."""

from __future__ import annotations

import random
import threading
import uuid
from collections.abc import Iterable
from datetime import datetime, timedelta, timezone
from typing import Any

Json = dict[str, Any]

TAGS = (
    "asset",
    "asset-file",
    "asset-type",
    "batch",
    "bom",
    "catalog",
    "folder",
    "level",
    "manual-inspection",
    "package",
    "package-history",
    "phase",
    "process",
    "product",
    "product-group",
    "report",
    "serial-number",
    "serial-number-type",
    "site",
    "ticket",
    "unit",
    "vendor",
)


def fold(text: str) -> str:
    """Return the form in which names are compared: the server ignores case and outer blanks."""
    return text.strip().casefold()


class WATSState:
    """Tables of the server, free to be changed by a test behind a cache's back.

    Guarded by `lock`: a request holds it while it reads or changes the tables, so whoever changes them from outside
    takes it too (`with server.state.lock:`) and calls `dirty` for what it changed. Keys of products, assets and units
    are folded (`fold`); identifiers are strings.
    """

    def __init__(self, seed: int) -> None:
        self.lock: threading.RLock = threading.RLock()
        self.revisions: dict[str, int] = dict.fromkeys(TAGS, 0)
        self.products: dict[str, Json] = {}
        self.categories: list[Json] = []
        self.vendors: dict[str, Json] = {}
        self.product_groups: dict[int, Json] = {}
        self.boms: dict[tuple[str, str], list[Json]] = {}
        self.revision_relations: dict[str, Json] = {}
        self.asset_types: dict[str, Json] = {}
        self.assets: dict[str, Json] = {}
        self.asset_log: list[Json] = []
        self.asset_files: dict[str, dict[str, bytes]] = {}
        self.units: dict[tuple[str, str], Json] = {}
        self.unit_changes: dict[str, Json] = {}
        self.unit_history: dict[tuple[str, str], list[Json]] = {}
        self.unit_flow: Json = {}
        self.batches: dict[str, Json] = {}
        self.serial_types: list[Json] = []
        self.serials: dict[str, Json] = {}
        self.phases: list[Json] = []
        self.sites: list[Json] = []
        self.levels: list[Json] = []
        self.processes: list[Json] = []
        self.repair_operations: dict[str, Json] = {}
        self.reports: dict[str, Json] = {}
        self.attachments: dict[str, bytes] = {}
        self.tickets: dict[str, Json] = {}
        self.ticket_files: dict[str, bytes] = {}
        self.packages: dict[str, Json] = {}
        self.package_folders: dict[str, Json] = {}
        self.package_files: dict[str, Json] = {}
        self.downloads: list[Json] = []
        self.folders: dict[str, Json] = {}
        self.definitions: dict[str, Json] = {}
        self.definition_relations: dict[str, Json] = {}
        self.inspections: dict[str, Json] = {}
        self.scim_users: dict[str, Json] = {}
        self.scim_tokens = 0
        self._random = random.Random(seed)  # noqa: S311 - the same seed gives the same data; nothing here is secret
        self._counter = 0
        self._last = datetime.min.replace(tzinfo=timezone.utc)

    def dirty(self, tags: Iterable[str]) -> None:
        """Count the tags as changed: every read with one of them answers differently from now on."""
        with self.lock:
            for tag in tags:
                self.revisions[tag] = self.revisions.get(tag, 0) + 1

    def revision(self, tags: Iterable[str]) -> int:
        """Return how often any of the tags was dirtied; it only grows."""
        return sum(self.revisions.get(tag, 0) for tag in tags)

    def new_id(self) -> str:
        """Return an identifier that repeats with the seed."""
        return str(uuid.UUID(int=self._random.getrandbits(128), version=4))

    def next_number(self) -> int:
        """Return the next whole number, from 1."""
        self._counter += 1
        return self._counter

    def chance(self) -> float:
        """Return a number in [0, 1) that repeats with the seed."""
        return self._random.random()

    def now(self) -> str:
        """Return the present time in UTC as ISO 8601, later than any returned before."""
        present = datetime.now(timezone.utc)
        self._last = max(present, self._last + timedelta(microseconds=1))
        return self._last.isoformat().replace("+00:00", "Z")
