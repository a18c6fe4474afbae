"""What arrived at the simulated server: no headers, no tokens."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from itertools import islice

from wats_simulator import arguments as check

from .faults import matches

_LENGTH = 100_000  # records kept; the oldest go first


@dataclass(frozen=True, slots=True)
class RequestRecord:
    """One request that arrived. `status` and `seconds` are None until it is answered; `status` is 0 if it never is."""

    number: int
    method: str
    path: str
    query: str
    user: str | None
    status: int | None = None
    seconds: float | None = None


class RequestLog:
    """The records in order of arrival. Guarded by `_lock`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._records: dict[int, RequestRecord] = {}
        self._arrived = 0
        self._forgotten = 0

    def arrived(self, method: str, path: str, query: str, user: str | None) -> int:
        """Note a request; return its number, from 1."""
        with self._lock:
            self._arrived += 1
            number = self._arrived
            self._records[number] = RequestRecord(number, method, path, query, user)
            if len(self._records) > _LENGTH:
                for oldest in list(islice(self._records, _LENGTH // 10)):
                    del self._records[oldest]
        return number

    def answered(self, number: int, status: int, seconds: float) -> None:
        """Note what became of the request."""
        with self._lock:
            record = self._records.get(number)
            if record is not None:
                self._records[number] = replace(record, status=status, seconds=seconds)

    @property
    def records(self) -> tuple[RequestRecord, ...]:
        """The records now."""
        with self._lock:
            return tuple(self._records.values())

    @property
    def total(self) -> int:
        """How many arrived since the last `reset`, kept or not."""
        with self._lock:
            return self._arrived - self._forgotten

    def count(self, method: str | None, path: str) -> int:
        """Count the records with this method (None: any) and an fnmatch pattern of the raw path, without case."""
        check.request(method, path)
        return sum(matches(record.method, record.path, method, path) for record in self.records)

    def reset(self) -> None:
        """Forget the records."""
        with self._lock:
            self._records.clear()
            self._forgotten = self._arrived
