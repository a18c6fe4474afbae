"""Which node of a cluster has which slot. Who waits for the store does not ask that: a thread of its own does.

It asks one node after the other, and last those with which something was wrong: a node that was cut off, or stopped,
may not know yet that another one has taken over.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Sequence
from math import inf
from time import monotonic
from typing import Any

import redis

from ...errors import StorageError
from ...support.fork import renew_in_child
from ..shared.patience import waits_until
from .calls import Pauses

__all__ = ["ClusterMap", "Node", "again"]

SLOTS = 16_384
PATIENCE = (1.0, 5.0)
"""Seconds for one node to answer: all are asked with the first, and if none answers, with the second."""
GO_ON = 60.0
"""Seconds after the last question for which a cluster that does not answer is asked."""
QUIET = 10.0
"""Seconds without a question after which the next ones follow each other soon."""
Node = tuple[str, int]


class ClusterMap:
    """The owners of the slots. Guarded by `_turn`; an owner that is known is read without a lock.

    - `seeds`: the nodes that are asked first.
    - `ask(node, patience)`: what it answers to `CLUSTER SLOTS`.
    - `on_change(owners)`: told of all nodes that have slots, after a change.
    - `remap`: where a node is reached from here, if that is elsewhere than the cluster says.
    """

    def __init__(
        self,
        seeds: Sequence[Node],
        ask: Callable[[Node, float], Any],
        on_change: Callable[[set[Node]], object],
        remap: Callable[[Node], Node] | None = None,
    ) -> None:
        self._seeds = tuple(seeds)
        self._ask = ask
        self._on_change = on_change
        self._remap = remap
        self._renew()
        renew_in_child(self)

    def _renew(self) -> None:
        """Also in a forked child: nothing is known, and the thread of the parent is not there."""
        self._turn = threading.Condition()
        self._owners: list[Node | None] | None = None
        self._known: tuple[Node, ...] = ()
        """All nodes, replicas too."""
        self._suspects: set[Node] = set()
        self._learner: threading.Thread | None = None
        self._is_doubted = True
        self._refusal: Exception | None = None
        """Why nobody waits for the first map."""
        self._try_at = self._asked = -inf
        self._pauses = Pauses()

    def owner(self, slot: int) -> Node:
        """The node that has `slot`, as far as is known. Raises ConnectionError or TimeoutError, in time."""
        owners = self._owners or self._first()
        node = owners[slot]
        if node is None:
            self.doubt()
            raise redis.ConnectionError("no node of the cluster has this slot")
        return node

    def owners(self) -> list[Node]:
        """All nodes that have slots."""
        return sorted({node for node in self._owners or self._first() if node is not None})

    def is_owner(self, node: Node, slot: int) -> bool:
        """Whether `node` has `slot`, as far as is known; does not wait."""
        owners = self._owners
        return owners is not None and owners[slot] == node

    def moved(self, slot: int, node: Node) -> None:
        """A node said that `node` has `slot`."""
        owners = self._owners
        if owners is not None:
            owners[slot] = node if self._remap is None else self._remap(node)
        self.doubt()

    def doubt(self, node: Node | None = None) -> None:
        """Ask anew, soon, and not `node` if another one answers. Does not wait."""
        with self._turn:
            if node is not None:
                self._suspects.add(node)
            self._is_doubted = True
            self._start()

    def doubt_next(self) -> None:
        """Ask anew before the next subscription."""
        self._is_doubted = True

    def settle(self) -> None:
        """Ask now if there is a doubt. Blocks for I/O, which no request waits for. Raises what `learn` raises."""
        if self._owners is None or self._is_doubted:
            self.learn()

    def refuse(self, error: Exception) -> None:
        """Somebody waited in vain: nobody waits for the first map again before a node has answered."""
        with self._turn:
            if self._owners is None:
                self._refusal = error
                self._turn.notify_all()

    def try_again(self) -> None:
        """Let those who wait now have a map, if a node tells it in time."""
        with self._turn:
            self._refusal, self._try_at = None, -inf
            self._turn.notify_all()

    def learn(self) -> None:
        """Ask the nodes, until one answers. Raises what the last one raised."""
        with self._turn:
            now = monotonic()
            if now > self._try_at + QUIET:
                self._pauses.end()
            self._try_at = now + self._pauses.next()
            self._is_doubted = False  # before: a doubt that comes meanwhile is another one
        problem: Exception = redis.ConnectionError("no node of the cluster answers")
        for patience in PATIENCE:
            for node in self._candidates():
                try:
                    owners, known = _read(self._ask(node, patience), node, self._remap)
                except Exception as error:  # noqa: BLE001 - whatever it is, another node may answer
                    problem = error
                    with self._turn:
                        self._suspects.add(node)
                else:
                    self._take(owners, known)
                    return
        with self._turn:
            self._is_doubted = True
            self.refuse(again(problem))
        raise problem

    def _candidates(self) -> list[Node]:
        with self._turn:
            suspects = set(self._suspects)
            known = self._known or self._seeds
        nodes = random.sample(known, len(known))
        nodes += [seed for seed in self._seeds if seed not in known]
        return sorted(nodes, key=lambda node: node in suspects)  # stable

    def _take(self, owners: list[Node | None], known: tuple[Node, ...]) -> None:
        with self._turn:
            has_changed = owners != self._owners
            self._owners, self._known, self._refusal = owners, known, None
            self._suspects.clear()
            if has_changed:
                self._pauses.end()
            self._turn.notify_all()
        if has_changed:
            self._on_change({node for node in owners if node is not None})

    # ── the first map, and the thread ─────────────────────────────────────────────────────────────────────────────

    def _first(self) -> list[Node | None]:
        until = waits_until()
        if until is None:
            self.learn()
        with self._turn:
            while self._owners is None:
                self._start()
                if self._refusal is not None:
                    raise again(self._refusal)
                if until is None or not self._turn.wait(max(0.0, until - monotonic())):
                    raise redis.TimeoutError("the cluster did not say in time which node has which slot")
            return self._owners

    def _start(self) -> None:
        self._asked = monotonic()
        if self._learner is None:
            self._learner = threading.Thread(target=self._run, name="pywats-cache-cluster", daemon=True)
            self._learner.start()

    def _is_wanted(self) -> bool:
        return self._is_doubted and monotonic() < self._asked + GO_ON

    def _run(self) -> None:
        while True:
            with self._turn:
                while self._is_wanted() and (pause := self._try_at - monotonic()) > 0.0:
                    self._turn.wait(pause)
                if not self._is_wanted():
                    self._learner = None
                    return
            try:
                self.learn()
            except Exception:  # noqa: BLE001, S110 - those who wait are told
                pass


def _read(answer: Any, asked: Node, remap: Callable[[Node], Node] | None) -> tuple[list[Node | None], tuple[Node, ...]]:
    """The owners of all slots, and all nodes, in an answer to `CLUSTER SLOTS` of the node `asked`."""
    owners: list[Node | None] = [None] * SLOTS
    known: dict[Node, None] = {}
    try:
        for first, last, *nodes in answer:
            named = [_node(host, port, asked) for host, port, *_ in nodes]
            if remap is not None:
                named = [remap(node) for node in named]
            known.update(dict.fromkeys(named))
            owners[first : last + 1] = [named[0]] * (last + 1 - first)
    except (TypeError, ValueError, IndexError, AttributeError):
        raise StorageError("the node answered in a form that this package does not know") from None
    if not known:
        raise redis.ConnectionError("the node belongs to no cluster, or to one without slots")
    if len(owners) != SLOTS:
        raise StorageError("the node answered in a form that this package does not know")
    return owners, tuple(known)


def _node(host: Any, port: int, asked: Node) -> Node:
    """A node that does not know its own address leaves it out: it is where it was asked."""
    name = host.decode() if isinstance(host, bytes) else host or ""
    return (name if name not in ("", "?") else asked[0], int(port))


def again(error: Exception) -> Exception:
    """The same error, without what raised it: each caller gets one of its own."""
    try:
        return type(error)(*error.args)
    except Exception:  # noqa: BLE001 - one with arguments of its own
        return redis.ConnectionError(str(error))
