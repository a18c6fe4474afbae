"""How long a process may rely on what it knows of a ledger that pushes what is new, and when it must ask. No I/O.

A *beat* asks the server that takes writes for the generation and the epoch of the ledger, several times in `max_lag`.
What was committed before a beat was sent is in its answer. So once that is in the cells, they lag by no more than
`max_lag` until `max_lag` seconds after the beat was *sent*. That is the lease; without answers it ends by itself.

Pushes tell sooner. No lease rests on them: a subscription may stay at a server that has been demoted, and lose what is
published while that server is synchronised anew. Each beat is published too. Where none of many is heard, the
subscription is made anew.

A process that reads nothing needs no lease. It lets it lapse, and its next read asks first, which gives one; then it
beats again. Until then it only sees to it, now and then, that pushes still come.

Whoever checks loads the lease *before* the cells, and whoever extends it writes the cells before: so a check that sees
a lease sees the cells that it is for. The other way round a check between the two would find old cells valid.
"""

from __future__ import annotations

import threading

from .backend import EPOCH, LOST, Delta

__all__ = ["UNSURE", "Lease", "UnheardError"]

UNSURE = -2
"""In the cell of the epoch: pushes may have been missed, so ask."""
MOST_UNHEARD = 7
"""Beats that are not heard at most; then the subscription is made anew."""
BEAT = 0.55
"""Of `max_lag`, from one beat to the next: an answer may be late by almost as much as that before the lease ends."""
QUIET = 2.0
"""Times `max_lag` without use after which a process lets its lease lapse."""
IDLE_SECONDS = 15.0
"""From one beat to the next of a process that lets its lease lapse."""
NEVER = float("-inf")


class UnheardError(Exception):
    """What is published does not reach this process: its subscription is of no use."""


class Lease:
    """The cells of a ledger and how long they hold. Guarded by `_lock`; checks need no lock, see the module.

    - `until`: when the lease ends, on the clock that counts sleep: for others time goes on while this machine sleeps.
    - `due`: when the next beat is to be sent, if the lease is used.
    - `doubts`: grows whenever what is under way may be older than what was missed.
    """

    def __init__(self, max_lag: float) -> None:
        self._max_lag = max_lag
        self.cells: list[int] = [UNSURE, 0]
        self.until: float = NEVER
        self.due: float = NEVER
        self._used: object = None
        self._used_at = NEVER
        self.doubts: int = 0
        self._generation = ""
        self._history: bytes | None = None
        self._sent = self._heard = 0
        """The numbers of the last beat that was sent, and heard. They never begin anew."""
        self._lock = threading.RLock()  # a signal handler may ask in a thread that holds it

    @property
    def generation(self) -> str:
        """Names the ledger whose epoch is in the cells; "" before anything is known."""
        return self._generation

    # ── the subscription ──────────────────────────────────────────────────────────────────────────────────────────

    def subscribed(self) -> None:
        """A subscription begins, perhaps by a reconnection: what was pushed before was missed."""
        with self._lock:
            self.doubt()
            self._heard = self._sent
            self.awake()

    def doubt(self) -> None:
        """Pushes may have been missed: whoever checks must ask."""
        with self._lock:
            self.doubts += 1
            self.cells[EPOCH] = UNSURE

    def _pushed(self, generation: str, epoch: int) -> None:
        """A change was published."""
        with self._lock:
            if self.cells[EPOCH] == UNSURE:
                self.doubts += 1  # an answer under way may be older than this
            else:
                self._take(generation, epoch)

    def awake(self) -> None:
        """Let the next beat be sent at once."""
        with self._lock:
            self.due = NEVER
            self._used = None

    # ── beats ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def wants_beat(self, now: float, used: object) -> bool:
        """Whether a beat is to be sent now. `used`: what is another value after each use of the lease."""
        with self._lock:
            if now < self.due:
                return False
            if used != self._used:
                self._used, self._used_at = used, now
            return now - self._used_at <= QUIET * self._max_lag or now >= self.due + IDLE_SECONDS

    def beat(self, now: float) -> int:
        """The number of the beat that is sent now. Raises UnheardError where none of the last ones was heard."""
        with self._lock:
            if self._sent - self._heard >= MOST_UNHEARD:
                raise UnheardError
            self._sent += 1
            self.due = now + self._max_lag * BEAT
            return self._sent

    def heard(self, number: int) -> None:
        """A beat came back on the subscription."""
        with self._lock:
            if number <= self._sent:
                self._heard = max(self._heard, number)

    def answered(self, history: bytes, generation: str, epoch: int, sent: float, doubts: int) -> None:
        """The answer to a beat that was sent at `sent`, when `doubts` were counted.

        - `history`: names what the server has lived through: a restart, or another server, has another one.
        - `generation`: "" where the ledger has none, or where it is not whole: whoever asks next begins one.
        """
        with self._lock:
            was, self._history = self._history, history
            if was not in (None, history) or not generation:
                self.doubt()
            elif doubts == self.doubts:
                self._take(generation, epoch)
                self.until = max(self.until, sent + self._max_lag)

    # ── questions ─────────────────────────────────────────────────────────────────────────────────────────────────

    def learned(self, delta: Delta, asked: float, doubts: int) -> None:
        """Take over the answer to a question sent at `asked`, when `self.doubts` was `doubts`. It gives a lease too."""
        with self._lock:
            if doubts == self.doubts:  # else it may be older than what was missed
                self._take(delta.generation, delta.epoch)
                self.until = max(self.until, asked + self._max_lag)
                if self.due > NEVER:
                    self.due = max(self.due, asked + self._max_lag * BEAT)

    def _take(self, generation: str, epoch: int) -> None:
        if generation == self._generation:
            self.cells[EPOCH] = max(self.cells[EPOCH], epoch)
            return
        if self._generation:  # its numbers may be those of the former one
            self.cells[LOST] += 1
        self._generation = generation
        self.cells[EPOCH] = epoch
