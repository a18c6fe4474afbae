"""A WATS server for tests, demos and benchmarks: real HTTP on loopback, data in memory, faults on demand."""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from types import TracebackType

from wats_simulator import arguments as check

from .answer import User, answer, message
from .faults import Fault, Faults, Gate
from .http import Answer, Connections, Request
from .log import RequestLog, RequestRecord
from .routes import ROUTES, Router
from .seed import seed as fill
from .state import TAGS, WATSState

__all__ = ["Gate", "RequestRecord", "SimulatedWATS"]

_ROUTER = Router(ROUTES)
_TEMPLATES = {(route.method, route.template) for route in ROUTES}


class SimulatedWATS:
    """A WATS server on 127.0.0.1 whose 228 routes answer the vendor's SDK and change with every write.

    ```python
    with SimulatedWATS() as server:
        api = pyWATS(base_url=server.base_url, token=server.token)
        api.product.get_product("PN-1000")
    ```

    `latency` and `process_delay` are seconds. `users` are names, or names with passwords; the first is the default
    user. `products` is how many products there are at the start (`PN-1000`, `PN-1001` …), `seed` fixes their
    identifiers. `gzip` compresses long answers for clients that accept it. Bad arguments raise TypeError or ValueError.

    Every JSON answer has a field `simulated` with the user and the revision of what was read: it grows with every
    write that dirties one of the route's tags, so an answer from before a write never equals one from after it, and no
    two users get the same.

    Safe to use from any thread; runs in daemon threads. Guarded by `_lock`: the reports that wait; the data is
    guarded by `state.lock`, the log and the faults by locks of their own.
    """

    def __init__(
        self,
        latency: float = 0.0,
        users: Iterable[str] | Mapping[str, str] | None = None,
        products: int = 20,
        seed: int = 0,
        *,
        process_delay: float = 0.0,
        gzip: bool = False,
        port: int = 0,
    ) -> None:
        self._latency = check.seconds("latency", latency)
        self._process_delay = check.seconds("process_delay", process_delay)
        self._passwords = check.passwords(users)
        self._products = check.whole("products", products, 0, 1_000_000)
        self._seed = check.whole("seed", seed, -(2**63), 2**63)
        self._gzip = check.flag("gzip", gzip)
        self._port = check.whole("port", port, 0, 65535, " (any free one)")
        self._lock = threading.Lock()
        self._known = {name: User(name, number) for number, name in enumerate(self._passwords)}
        self._accepted = {self.token_for(name): user for name, user in self._known.items()}
        self._route_latency: dict[tuple[str, str], float] = {}
        self._log = RequestLog()
        self._faults = Faults()
        self._pending: dict[threading.Timer, Callable[[], None]] = {}
        self._connections: Connections | None = None
        self._stopping = threading.Event()
        self._state = self._fresh()

    # Life.

    def start(self) -> SimulatedWATS:
        """Listen, if it does not yet. Raises OSError when the port is taken."""
        if self._connections is None:
            self._stopping.clear()
            self._connections = Connections(self._port, self._respond, self._gzip)
            self._port = self._connections.server_port
            self._connections.start()
        return self

    def stop(self) -> None:
        """Stop listening and close all connections; held and hanging requests are cut. The data stays."""
        connections, self._connections = self._connections, None
        if connections is not None:
            connections.closing = True
            self._stopping.set()
            self._faults.release_all()
            connections.stop()

    def restart(self) -> SimulatedWATS:
        """Stop, if it runs, and listen on the same port with the same data."""
        self.stop()
        return self.start()

    def close(self) -> None:
        """Stop for good: reports that wait for `process_delay` are not applied any more."""
        self.stop()
        self._take_pending()

    def _take_pending(self) -> list[Callable[[], None]]:
        """Cancel what waits for `process_delay` and return it, oldest first."""
        with self._lock:
            pending, self._pending = self._pending, {}
        for timer in pending:
            timer.cancel()
        return list(pending.values())

    def __enter__(self) -> SimulatedWATS:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        where = f"at {self.base_url}" if self._connections is not None else "stopped"
        return f"<SimulatedWATS {where}, {len(self._passwords)} users, {self.request_count} requests>"

    @property
    def running(self) -> bool:
        """Whether it listens."""
        return self._connections is not None

    @property
    def port(self) -> int:
        """The port, which stays the same over `restart`. Raises RuntimeError before the first start."""
        if not self._port:
            raise RuntimeError("SimulatedWATS has no port before it is started: use `with` or call start()")
        return self._port

    @property
    def base_url(self) -> str:
        """What to pass as `base_url`, without a slash at the end."""
        return f"http://127.0.0.1:{self.port}"

    # Users.

    @property
    def users(self) -> tuple[str, ...]:
        """The names of the users; the first is the default user."""
        return tuple(self._passwords)

    @property
    def token(self) -> str:
        """The token of the default user, for `pyWATS(token=…)`."""
        return self.token_for(self.users[0])

    def token_for(self, user: str) -> str:
        """Return the base64 token of this user. Raises ValueError when there is none."""
        if user not in self._passwords:
            raise ValueError(f"user must be one of {', '.join(self._passwords)}, not {user!r}")
        return base64.b64encode(f"{user}:{self._passwords[user]}".encode()).decode()

    def revoke(self, user: str) -> None:
        """Answer this user with 401 from now on."""
        self._accepted.pop(self.token_for(user), None)

    def restore(self, user: str) -> None:
        """Accept this user again."""
        self._accepted[self.token_for(user)] = self._known[user]

    # Time.

    @property
    def latency(self) -> float:
        """Seconds between the moment the data is read or written and the answer; may be set at any time."""
        return self._latency

    @latency.setter
    def latency(self, seconds: float) -> None:
        self._latency = check.seconds("latency", seconds)

    def latency_for(self, method: str, template: str, seconds: float | None) -> None:
        """Set the latency of one route, as the route table writes it; None takes it back."""
        key = (method.upper(), template)
        if key not in _TEMPLATES:
            raise ValueError(f"{method} {template} is no route of this server, e.g. GET /api/Product/{{part_number}}")
        if seconds is None:
            self._route_latency.pop(key, None)
        else:
            self._route_latency[key] = check.seconds("seconds", seconds)

    @property
    def process_delay(self) -> float:
        """Seconds between the answer to a report and its effect, which on a real server lags too."""
        return self._process_delay

    @process_delay.setter
    def process_delay(self, seconds: float) -> None:
        self._process_delay = check.seconds("process_delay", seconds)

    def process_pending(self) -> int:
        """Apply now the reports that wait for `process_delay`; return how many."""
        pending = self._take_pending()
        for apply in pending:
            apply()
        return len(pending)

    # The log.

    @property
    def requests(self) -> tuple[RequestRecord, ...]:
        """What arrived, in order, at most the last 100000; no headers, no tokens."""
        return self._log.records

    @property
    def request_count(self) -> int:
        """How many requests arrived since the start or `reset_log`."""
        return self._log.total

    def count(self, method: str | None = None, path: str = "*") -> int:
        """Count the requests in the log with this method and an fnmatch pattern of the raw path, without case."""
        return self._log.count(method, path)

    def reset_log(self) -> None:
        """Forget what arrived so far."""
        self._log.reset()

    # Data behind the clients' backs.

    @property
    def state(self) -> WATSState:
        """The data itself; see WATSState for how to change it."""
        return self._state

    def reset(self) -> None:
        """Go back to the data of the start, with every tag dirtied; forget faults and the log, let go what is held."""
        self._take_pending()
        self._faults.clear()
        self._faults.release_all()
        state = self._fresh()
        with self._state.lock:
            state.revisions = dict(self._state.revisions)
            state.dirty(TAGS)
            self._state = state
        self.reset_log()

    def _fresh(self) -> WATSState:
        state = WATSState(self._seed)
        fill(state, self._products, list(self._passwords))
        return state

    def touch(self, *tags: str) -> None:
        """Make every read with one of these tags answer differently. Raises ValueError for an unknown tag."""
        for tag in tags:
            if tag not in TAGS:
                raise ValueError(f"tag must be one of {', '.join(TAGS)}, not {tag!r}")
        self.state.dirty(tags)

    advance = touch

    # Faults.

    def fail(
        self,
        method: str | None = None,
        path: str = "*",
        status: int = 503,
        times: int | None = 1,
        *,
        headers: Mapping[str, str] | None = None,
        retry_after: float | str | None = None,
    ) -> None:
        """Answer the next `times` matching requests (None: all) with this status; their handler does not run.

        `path` is an fnmatch pattern of the raw path, without case; `retry_after` is seconds or an HTTP date.
        """
        check.whole("status", status, 200, 599)
        sent = dict(headers or {})
        if retry_after is not None:
            sent["Retry-After"] = f"{retry_after:g}" if isinstance(retry_after, (int, float)) else retry_after
        self._faults.add(Fault("fail", method, path, check.times(times), status, sent))

    def hang(self, method: str | None = None, path: str = "*", times: int | None = 1) -> None:
        """Do not answer the next matching requests until `release()`; then they go on as usual."""
        self._faults.add(Fault("hang", method, path, check.times(times)))

    def break_body(self, method: str | None = None, path: str = "*", times: int | None = 1) -> None:
        """Announce the length of the answer, send half of it, close the connection. The handler has run."""
        self._faults.add(Fault("break_body", method, path, check.times(times)))

    def drop(self, method: str | None = None, path: str = "*", times: int | None = 1, *, before: bool = True) -> None:
        """Close the connection without an answer; `before=False` after the handler has run, so a write was applied."""
        self._faults.add(Fault("drop" if before else "drop_after", method, path, check.times(times)))

    def clear_faults(self) -> None:
        """Forget all faults; let go what hangs."""
        self._faults.clear()

    def release(self) -> None:
        """Let go what hangs."""
        self._faults.release()

    def hold(self, method: str | None = None, path: str = "*", *, before: bool = True, times: int = 1) -> Gate:
        """Hold the next `times` matching requests at a gate until it is released.

        `before=True` holds them before the server looks at its data; `before=False` when the answer is computed (and a
        write applied) but not sent.
        """
        gate = Gate(method, path, before, check.times(times) or 1)
        self._faults.hold(gate)
        return gate

    # One request.

    def _respond(self, request: Request) -> Answer:
        started = time.perf_counter()
        user = self._user(request.authorization)
        number = self._log.arrived(request.method, request.path, request.query, user.name if user else None)
        gate = self._faults.gate_for(request.method, request.path)
        fault = self._faults.next_fault(request.method, request.path)
        if gate is not None and gate.before:
            self._hold(gate)
        if fault is not None and fault.kind == "hang":
            with self._faults.hanging() as released:
                if not self._stopping.is_set():
                    released.wait()
        result, latency = self._answer(request, user, fault)
        if gate is not None and not gate.before:
            self._hold(gate)
        if latency > 0:
            self._stopping.wait(latency)
        if self._stopping.is_set():
            result = Answer(dropped=True)
        self._log.answered(number, 0 if result.dropped else result.status, time.perf_counter() - started)
        return result

    def _user(self, authorization: str) -> User | None:
        scheme, _, token = authorization.partition(" ")
        return self._accepted.get(token.strip()) if scheme.lower() == "basic" else None

    def _hold(self, gate: Gate) -> None:
        gate.arrived.set()
        if not self._stopping.is_set():
            gate.released.wait()

    def _answer(self, request: Request, user: User | None, fault: Fault | None) -> tuple[Answer, float]:
        """Return the answer and the seconds it has to wait."""
        kind = fault.kind if fault is not None else ""
        if fault is not None and kind == "fail":
            return message(fault.status, "a fault on demand", fault.headers), self._latency
        if kind == "drop" or self._stopping.is_set():
            return Answer(dropped=True), 0.0
        if user is None:
            challenge = {"WWW-Authenticate": 'Basic realm="WATS"'}
            return message(401, "these credentials are not accepted", challenge), self._latency
        match = _ROUTER.find("GET" if request.method == "HEAD" else request.method, request.path)
        if match is None or (request.method == "HEAD" and match[0].kind == "write"):
            return message(404, f"{request.method} {request.path} is no route of this server"), self._latency
        route, params = match
        result = answer(self._state, route, params, request, user, self._later)
        if kind == "break_body":
            result = replace(result, broken=True)
        if kind == "drop_after":
            result = Answer(dropped=True)
        return result, self._route_latency.get((route.method, route.template), self._latency)

    def _later(self, apply: Callable[[], None]) -> bool:
        """Apply `process_delay` seconds later, unless that is 0."""
        if self._process_delay <= 0:
            return False

        def run() -> None:
            with self._lock:
                due = self._pending.pop(timer, None)
            if due is not None:
                due()

        timer = threading.Timer(self._process_delay, run)
        timer.daemon = True
        with self._lock:
            self._pending[timer] = apply
        timer.start()
        return True
