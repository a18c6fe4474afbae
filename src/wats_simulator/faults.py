"""What can be made to go wrong on the way to or from a handler, and gates that hold a request."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from types import TracebackType
from typing import Literal

from wats_simulator import arguments as check

FaultKind = Literal["fail", "hang", "break_body", "drop", "drop_after"]


def matches(method: str, path: str, wanted_method: str | None, pattern: str) -> bool:
    """Compare a request with a method (None: any) and an fnmatch pattern of the raw path, without case."""
    if wanted_method is not None and wanted_method.upper() != method:
        return False
    return fnmatchcase(path.casefold(), pattern.casefold())


@dataclass(slots=True)
class Fault:
    """What happens to the next `times` requests that match; for ever when `times` is None."""

    kind: FaultKind
    method: str | None
    path: str
    times: int | None
    status: int = 503
    headers: Mapping[str, str] = field(default_factory=dict)
    released: threading.Event = field(default_factory=threading.Event)


class Gate:
    """Holds requests: `arrived.wait(timeout)` until one is there, `release()` to let it go on.

    As a context manager it releases at the end. `before` says whether the request is held before the server looks at
    its data, or after it computed the answer and, for a write, applied it.
    """

    def __init__(self, method: str | None, path: str, before: bool, times: int) -> None:
        self.method = method
        self.path = path
        self.before = before
        self.arrived: threading.Event = threading.Event()
        self.released: threading.Event = threading.Event()
        self._left = times

    def release(self) -> None:
        """Let what is held go on, and hold nothing more."""
        self.released.set()

    def __enter__(self) -> Gate:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def __repr__(self) -> str:
        state = "released" if self.released.is_set() else "holding" if self.arrived.is_set() else "waiting"
        return f"<Gate {self.method or '*'} {self.path} {'before' if self.before else 'after'}: {state}>"


class Faults:
    """The faults and gates in force. Guarded by `_lock`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: list[Fault] = []
        self._gates: list[Gate] = []
        self._hanging: set[threading.Event] = set()

    def add(self, fault: Fault) -> None:
        """Put a fault in force, behind those there are."""
        check.request(fault.method, fault.path)
        with self._lock:
            self._faults.append(fault)

    def hold(self, gate: Gate) -> None:
        """Put a gate in force."""
        check.request(gate.method, gate.path)
        with self._lock:
            self._gates = [one for one in self._gates if not one.released.is_set()] + [gate]

    def clear(self) -> None:
        """Forget the faults; let go what hangs."""
        with self._lock:
            self._faults.clear()
        self.release()

    def release(self) -> None:
        """Let go what hangs."""
        with self._lock:
            hanging = list(self._hanging)
        for event in hanging:
            event.set()

    def release_all(self) -> None:
        """Let go what hangs and what gates hold."""
        self.release()
        with self._lock:
            gates, self._gates = self._gates, []
        for gate in gates:
            gate.release()

    def next_fault(self, method: str, path: str) -> Fault | None:
        """Return what shall happen to this request, counting it down, or None."""
        if not self._faults:
            return None
        with self._lock:
            for fault in self._faults:
                if matches(method, path, fault.method, fault.path):
                    if fault.times is not None:
                        fault.times -= 1
                        if fault.times <= 0:
                            self._faults.remove(fault)
                    return fault
        return None

    def gate_for(self, method: str, path: str) -> Gate | None:
        """Return the gate that takes this request, or None."""
        if not self._gates:
            return None
        with self._lock:
            for gate in self._gates:
                if gate._left > 0 and not gate.released.is_set() and matches(method, path, gate.method, gate.path):
                    gate._left -= 1
                    return gate
        return None

    @contextmanager
    def hanging(self) -> Iterator[threading.Event]:
        """Give an event that `release` sets."""
        event = threading.Event()
        with self._lock:
            self._hanging.add(event)
        try:
            yield event
        finally:
            with self._lock:
                self._hanging.discard(event)
