"""The epoch, the dirtied tags and the open writes of a store among machines, in Redis or Valkey.

One script does every change and every question, so each is one atomic step. The epoch is a pair: a generation and a
number. A new generation begins, and everything older is invalid, when the state is missing (flushed, evicted), when a
table has lost members (evicted), or when the server's replication id is another one: it was restarted, or a replica
took over that may not have everything.

Which tags go when a table is full is computed by the process that finds it full, as everywhere (`compaction`). A second
script commits that in steps: what takes over is set, and what goes is removed only if nobody has changed it since.

A process of the first version asks for no bundles (`tags.bundles_of`), so the floor that it reads is raised when one
is set. While the member `!` is in the table, the true floor is in `true_floor` (or `true_soft`) of the state. Whoever
raises the floor takes out all older members, and so this one.

What is new is pushed on two channels. One gets every change, for processes of the first version, whose leases rest on
that. That of the others is spared what nobody has to know at once: announcements, and changes beyond so many a second.

The server's clock may jump, after a failover too. So each process counts a settle window from when it saw it first
(`shared.windows`), and the one that has seen it end takes it out. The score of a window, its end by the server's clock,
is for processes of the first version, which also left no length in it.
"""

from __future__ import annotations

import json
import logging
import re
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any
from weakref import WeakMethod

from ...coherence.compaction import compacted, over_roots
from ...errors import StorageError
from ...support.clock import monotonic
from ..shared.backend import EPOCH, LOST, NOTHING, Change, Delta, Known, LaterVersionError, Window
from ..shared.debt import Debt
from ..shared.lease import UNSURE
from ..shared.windows import KnownWindows, Name, SeenWindows
from .answers import checked
from .calls import begin_anew, failure, run, short
from .feed import Feed
from .ledger_scripts import COMPACT, SCRIPT
from .names import Names, names_of

__all__ = ["RedisLedger"]

logger: logging.Logger = logging.getLogger("pywats_cache.storage.redis")

PUSHES, PUSHES_A_SECOND = 50, 50
"""Changes that are pushed one after the other, and so many a second from then on: each costs every process a few 0.01
ms, and the server 4 µs a process. Of what is not pushed beats tell, in time."""
MAX_TAGS = 4096
"""Bound of each table. A process of the first version folds a table with more."""
FULL = MAX_TAGS * 7 // 8
"""Tags from which on a table is compacted to half of the bound."""
LIMIT = 2 * MAX_TAGS
"""Tags at which the script folds the older half into the common floor, because nobody has compacted the table."""


class RedisLedger:
    """The ledger at `client` (of redis-py, with a deadline on its sockets) under the keys that begin with `prefix`.

    `pull` and `change` raise StorageError when the server does not answer in time. Safe from any thread and in a child
    of a fork.

    - `used`: another value after each use of what this process knows; see `Lease.wants_beat`.
    """

    def __init__(self, client: Any, prefix: str, max_lag: float, used: Callable[[], object] = monotonic) -> None:
        self.names: Names = names_of(client, prefix)
        self._keys = [self.names.ledger(name) for name in _TABLES]
        self._turn = self.names.ledger("turn")
        self._channel = self.names.channel
        self._pushes = self.names.pushes
        self._client = client
        self._script = client.register_script(SCRIPT)
        self._compact_script = client.register_script(COMPACT)
        self._max_lag = max_lag
        self._used_by = used
        self.debt: Debt = Debt()
        self.renew()

    def renew(self) -> None:
        """Also in a forked child: nothing is known, and the thread of the parent is not there."""
        # Weak, or the thread would keep a ledger that nobody uses any more.
        make_up, used = WeakMethod(self.make_up), WeakMethod(self._used)
        self.feed: Feed = Feed(
            self._client, self._pushes, self._max_lag, self._keys, lambda: _call(make_up), lambda: _call(used)
        )
        self._lock = threading.RLock()
        """Held for what comes of an answer, never while the server is asked: the feed's thread asks too."""
        self._seen = SeenWindows()
        self._known = KnownWindows()
        self._ended: list[str] = []
        self._lengths: dict[Name, float] = {}
        self._epoch = -1

    def __del__(self) -> None:
        self.feed.end_soon()

    def cells(self) -> Sequence[int]:
        """The cells that the server's pushes keep."""
        self.feed.start()
        return self.feed.cells

    def pull(self, known: Known) -> Delta:
        """What is new. What this process could not tell the others before, it tells them first."""
        return self._ask(None, known)

    def change(self, change: Change, known: Known) -> Delta:
        """Commit `change`, and tell all listeners, also what could not be told before."""
        return self._ask(change, known)

    def look(self) -> Delta | None:
        """The whole ledger, which is not changed; None if there is none. What `pull` would drop is invalid in it."""
        answer = self._answer(None, Known(None, -1), look=True)
        return _delta(answer, 0, [(name[1], left) for name, left in self._windows(answer).items()]) if answer else None

    def _used(self) -> object:
        """Another value after each use, and as long as there is something to be seen to."""
        now = monotonic()
        with self._lock:
            is_busy = self.debt or self.debt.is_watching(now) or self._known.is_open(now)
            is_busy = is_busy or (self._known.generation != self.feed.generation and self.debt.remembers())
        return now if is_busy else self._used_by()

    def lose(self, change: Change = NOTHING) -> bool:
        """`change` may not have reached the server: this process owes everyone a full invalidation."""
        with self._lock:
            self.debt.failed(change, monotonic())
        self.feed.awake()
        return False

    def make_up(self) -> None:
        """Tell the others, unasked, what they could not be told before. Raises StorageError.

        That is also a window that was open in a ledger which is gone, and the end of an announcement that was made
        late.
        """
        feed, now = self.feed, monotonic()
        with self._lock:
            is_owed = bool(self.debt or self._known.lost_with(feed.generation, now))
            is_owed |= self._known.generation != feed.generation and self.debt.remembers()
            if not is_owed and feed.cells[EPOCH] != self._epoch:
                is_owed = self.debt.is_watching(now) or (feed.cells[EPOCH] == UNSURE and self._known.is_open(now))
        if is_owed:
            self.pull(Known(None, -1))

    def is_in_place(self) -> bool:
        """Whether other processes use the same ledger: only the server knows, and says so when asked."""
        return True

    def _ask(self, change: Change | None, known: Known) -> Delta:
        with self._lock:
            payment = self.debt.payment(monotonic())
        close, open = [], []
        if payment is not None:
            change = change or Change()
            change = change._replace(all=change.all or payment.all)
            close, open = [*payment.close], [*payment.open]
        delta, lost = self._exchange(change, known, close, open)
        if payment is not None:
            with self._lock:
                self.debt.took(payment)
        if lost:
            # They were open in the ledger that was there before. What was read since then may be too old.
            again = Change(dirty=tuple({tag for window in lost for tag in window.tags}))
            delta, _ = self._exchange(again, known, [], lost)
        return delta

    def _exchange(
        self, change: Change | None, known: Known, close: list[str], open: list[Window]
    ) -> tuple[Delta, list[Window]]:
        """Ask the server. What it answers, and the windows that this process knows and its ledger does not."""
        feed = self.feed
        doubts, asked, lost = feed.doubts, monotonic(), feed.cells[LOST]
        answer = self._answer(change, known, close, open)
        with self._lock:
            windows, lengths = self._windows(answer), self._lengths
            delta = _delta(answer, lost, [(name[1], left) for name, left in windows.items()])
            now = monotonic()
            if change is not None and change.close is not None:
                close = [*close, change.close]
            self._known.forget(close)
            missing = self._known.lost_with(delta.generation, now)
            gone = [Window(name[0], (name[1],), self._known.length(name)) for name in missing if name not in windows]
            if self._known.generation not in (None, delta.generation):
                self.debt.watch_all(now)
            if change is not None and change.close is not None:
                self.debt.closed(change.close, now)
            if not gone:
                self._known.note(delta.generation, windows, now, lengths)
                self.debt.saw(id for id, _ in windows)
                self._epoch = delta.epoch
                feed.learned(delta, asked, doubts)
        for table, size in zip(_TABLES[1:4], answer[9:12], strict=True):
            if change is not None and size > FULL:
                self._compact(table, delta.generation)
        return delta, gone

    def _windows(self, answer: Any) -> dict[Name, float]:
        """The windows and the seconds that they have left; those that have ended are taken out later."""
        try:
            windows = [(member, json.loads(member), float(left)) for member, left in _pairs(answer[6])]
            open: dict[Name, float] = {}
            ended: list[str] = []
            lengths: dict[Name, float] = {}
            for member, (id, tag, *length), by_server in windows:
                left = self._seen.left((id, tag), float(length[0])) if length else by_server
                lengths[id, tag] = float(length[0]) if length else by_server
                if left > 0:
                    open[id, tag] = max(left, open.get((id, tag), left))
                elif length:
                    ended.append(member)
        except (TypeError, ValueError, AttributeError, IndexError) as error:
            raise failure(error, f"{type(error).__name__}: {short(error)}") from None
        self._seen.keep([(window[0], window[1]) for _, window, _ in windows])
        self._ended = ended
        self._lengths = lengths
        return open

    def _compact(self, table: str, generation: str) -> None:
        """Make a full table half as large. If that fails the next change tries it again."""
        key = self._keys[_TABLES.index(table)]
        try:
            if not self._client.set(self._turn, "1", nx=True, px=TURN):
                return  # another process does it
            members = {member.decode(): score for member, score in self._client.zrange(key, 0, -1, withscores=True)}
            change = _compacted_windows(members) if table == "windows" else _compacted_tags(members)
            for step in _steps(change):
                told = {"table": table, "generation": generation, "max_tags": MAX_TAGS, **step}
                if not self._compact_script(keys=self._keys, args=[json.dumps(told)]):
                    break  # it is another ledger by now
            self._client.delete(self._turn)
        except Exception as error:  # noqa: BLE001 - the change itself is committed
            logger.debug("a full table was not compacted: %s", type(error).__name__)

    def _answer(
        self,
        change: Change | None,
        known: Known,
        close: Sequence[str] = (),
        open: Sequence[Window] = (),
        *,
        look: bool = False,
    ) -> Any:
        told = change or Change()
        opened = [*open, told.open] if told.open else open
        question = {
            "look": look,
            "change": change is not None,
            "candidate": uuid.uuid4().hex,
            "generation": known.generation or "",
            "epoch": known.epoch,
            "all": told.all,
            "close": [*close, told.close] if told.close else [*close],
            "open": [[window.id, window.seconds, list(window.tags)] for window in opened],
            "dirty": list(told.dirty),
            "soften": list(told.soften),
            "ended": self._ended,
            "max_tags": LIMIT,
            "channel": self._channel,
            "push": self._pushes,
            "pushes": (PUSHES, PUSHES_A_SECOND),
        }
        try:
            answer = run(self._client, self._script, keys=self._keys, args=[json.dumps(question)])
        except StorageError as error:
            later = re.search(r"LATERVERSION (\w{1,9})", str(error))
            if later is not None:
                found = f"its ledger is of format {later[1]}, not 1"
                raise LaterVersionError(f"{found}: a later pywats-cache wrote it") from None
            raise
        return None if look and answer == [] else checked(answer)

    def close(self) -> None:
        """End the subscription; the next use begins it again. What is owed to the others is told them now, or never."""
        self.feed.stop()
        if self.debt:
            begin_anew(self._client)  # the connections that are there may lead to a server that is gone
            try:
                self.make_up()
            except StorageError as error:
                logger.warning("redis: the other machines could not be told what was written (%s)", error.kind)
            self._client.connection_pool.disconnect()
        self.feed.doubt()


_TABLES = ("state", "dirtied", "softened", "windows", "compacted")
LONGEST = 120.0
"""Seconds that a window of the first version lasts at most; it does not say."""
STEP = 512
"""Members that one step of a compaction changes at most: it is atomic, so all other commands wait for it."""
TURN = 2000
"""Milliseconds for which other processes leave it to one to compact a table."""


def _compacted_tags(tags: Mapping[str, float]) -> dict[str, Any]:
    """What the second script is to commit, for a table of epochs."""
    change = compacted({tag: int(epoch) for tag, epoch in tags.items() if epoch > 0}, MAX_TAGS // 2)
    return {
        "set": [[tag, str(epoch)] for tag, epoch in change.set.items()],
        "gone": [[tag, str(int(tags[tag]))] for tag in change.gone],
        "floor": "" if change.floor is None else str(change.floor),
        "told": "" if change.told is None else str(change.told),
        "floors": change.floors,
    }


def _compacted_windows(members: Mapping[str, float]) -> dict[str, Any] | None:
    """The same for windows, with the latest end; None: nothing can take over those that have no path in common."""
    ends: dict[str, float] = {}
    longest = 0.0
    parsed = {member: json.loads(member) for member in members}
    for member, (_, tag, *length) in parsed.items():
        ends[tag] = max(members[member], ends.get(tag, members[member]))
        longest = max(longest, float(length[0]) if length else LONGEST)
    change = over_roots(compacted(ends, MAX_TAGS // 2), ends)
    if change is None:
        return None
    gone = set(change.gone)
    id = uuid.uuid4().hex
    return {
        "set": [[json.dumps([id, tag, longest]), repr(end)] for tag, end in change.set.items()],
        "gone": [[member, repr(members[member])] for member, window in parsed.items() if window[1] in gone],
        "floor": "",
        "told": "",
        "floors": change.floors,
    }


def _steps(change: dict[str, Any] | None) -> Iterator[dict[str, Any]]:
    """`change` in parts, of which none holds up the server for long: first what takes over, last what goes."""
    if change is None:
        return
    nothing = {"set": [], "gone": [], "floor": "", "told": "", "floors": 0}
    for at in range(0, len(change["set"]), STEP):
        yield {**nothing, "set": change["set"][at : at + STEP]}
    yield {**change, "set": [], "gone": []}
    for at in range(0, len(change["gone"]), STEP):
        yield {**nothing, "gone": change["gone"][at : at + STEP]}


def _delta(answer: Any, lost: int, windows: list[tuple[str, float]]) -> Delta:
    """What the script said. Raises StorageError for an answer of another shape."""
    try:
        generation, epoch, floor, soft = (part.decode() for part in answer[:4])
        return Delta(
            generation,
            int(epoch),
            int(floor),
            int(soft),
            lost,
            [(tag, int(float(score))) for tag, score in _pairs(answer[4])],
            [(tag, int(float(score))) for tag, score in _pairs(answer[5])],
            windows,
            [(tag, int(float(score))) for tag, score in _pairs(answer[7])],
            int(answer[8]),
        )
    except (TypeError, ValueError, AttributeError, IndexError) as error:
        raise failure(error, f"{type(error).__name__}: {short(error)}") from None


def _call(weak: WeakMethod[Any]) -> object:
    method = weak()
    return None if method is None else method()


def _pairs(flat: list[bytes]) -> list[tuple[str, str]]:
    return [(flat[i].decode(), flat[i + 1].decode()) for i in range(0, len(flat), 2)]
