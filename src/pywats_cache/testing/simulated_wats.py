"""A WATS server for tests, demos and benchmarks: real HTTP on loopback, data in memory, faults on demand."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from types import TracebackType
from typing import Any

from pywats_cache.testing._wats_call import STAMP, Call, Deferred, Refused, Reply, Route
from pywats_cache.testing._wats_faults import Fault, Faults, Gate, matches
from pywats_cache.testing._wats_http import Answer, Connections, Request
from pywats_cache.testing._wats_routes import ROUTES, Router
from pywats_cache.testing._wats_seed import seed as fill
from pywats_cache.testing._wats_state import TAGS, WATSState

_LOG_LENGTH = 100_000  # records kept; the oldest go first
_ROUTER = Router(ROUTES)
_TEMPLATES = {(route.method, route.template) for route in ROUTES}


@dataclass(frozen=True, slots=True)
class RequestRecord:
    """One request that arrived. `status` and `seconds` are None until it is answered, `status` 0 if it never is."""

    number: int
    method: str
    path: str
    query: str
    user: str | None
    status: int | None = None
    seconds: float | None = None


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

    Safe to use from any thread; runs in daemon threads. Guarded by `_lock`: the log and the settings; the data is
    guarded by `state.lock`.
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
        self._latency = _seconds("latency", latency)
        self._process_delay = _seconds("process_delay", process_delay)
        self._passwords = _passwords(users)
        if isinstance(products, bool) or not isinstance(products, int):
            raise TypeError(f"products must be a whole number, not {products!r}")
        if not 0 <= products <= 1_000_000:
            raise ValueError(f"products must be from 0 to 1000000, not {products}")
        if isinstance(seed, bool) or not isinstance(seed, int):
            raise TypeError(f"seed must be a whole number, not {seed!r}")
        if not isinstance(gzip, bool):
            raise TypeError(f"gzip must be True or False, not {gzip!r}")
        if isinstance(port, bool) or not isinstance(port, int):
            raise TypeError(f"port must be a whole number, not {port!r}")
        if not 0 <= port <= 65535:
            raise ValueError(f"port must be from 0 (any free one) to 65535, not {port}")
        self.state = WATSState(seed)
        fill(self.state, products, list(self._passwords))
        self._gzip = gzip
        self._port = port
        self._lock = threading.Lock()
        self._users = {self.token_for(name): name for name in self._passwords}
        self._numbers = {name: number for number, name in enumerate(self._passwords)}
        self._route_latency: dict[tuple[str, str], float] = {}
        self._log: dict[int, RequestRecord] = {}
        self._arrived = 0
        self._arrived_before_reset = 0
        self._faults = Faults()
        self._timers: set[threading.Timer] = set()
        self._connections: Connections | None = None
        self._stopping = threading.Event()

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
        with self._lock:
            timers, self._timers = self._timers, set()
        for timer in timers:
            timer.cancel()

    def __enter__(self) -> SimulatedWATS:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        where = f"at {self.base_url}" if self._connections is not None else "stopped"
        return f"<SimulatedWATS {where}, {len(self._passwords)} users, {self._arrived} requests>"

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
        self._users.pop(self.token_for(user), None)

    def restore(self, user: str) -> None:
        """Accept this user again."""
        self._users[self.token_for(user)] = user

    # Time.

    @property
    def latency(self) -> float:
        """Seconds between the moment the data is read or written and the answer; may be set at any time."""
        return self._latency

    @latency.setter
    def latency(self, seconds: float) -> None:
        self._latency = _seconds("latency", seconds)

    def latency_for(self, method: str, template: str, seconds: float | None) -> None:
        """Set the latency of one route, as the route table writes it; None takes it back."""
        key = (method.upper(), template)
        if key not in _TEMPLATES:
            raise ValueError(f"{method} {template} is no route of this server, e.g. GET /api/Product/{{part_number}}")
        if seconds is None:
            self._route_latency.pop(key, None)
        else:
            self._route_latency[key] = _seconds("seconds", seconds)

    @property
    def process_delay(self) -> float:
        """Seconds between the answer to a report and its effect, which on a real server lags too."""
        return self._process_delay

    @process_delay.setter
    def process_delay(self, seconds: float) -> None:
        self._process_delay = _seconds("process_delay", seconds)

    # The log.

    @property
    def requests(self) -> tuple[RequestRecord, ...]:
        """What arrived, in order, at most the last 100000; no headers, no tokens."""
        with self._lock:
            return tuple(self._log.values())

    @property
    def request_count(self) -> int:
        """How many requests arrived since the start or `reset_log`."""
        with self._lock:
            return self._arrived - self._arrived_before_reset

    def count(self, method: str | None = None, path: str = "*") -> int:
        """Count the requests in the log with this method and an fnmatch pattern of the raw path, without case."""
        return sum(matches(record.method, record.path, method, path) for record in self.requests)

    def reset_log(self) -> None:
        """Forget what arrived so far."""
        with self._lock:
            self._log.clear()
            self._arrived_before_reset = self._arrived

    # Data behind the clients' backs.

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
        if not 200 <= status <= 599:
            raise ValueError(f"status must be from 200 to 599, not {status!r}")
        sent = dict(headers or {})
        if retry_after is not None:
            sent["Retry-After"] = f"{retry_after:g}" if isinstance(retry_after, (int, float)) else retry_after
        self._faults.add(Fault("fail", method, path, _times(times), status, sent))

    def hang(self, method: str | None = None, path: str = "*", times: int | None = 1) -> None:
        """Do not answer the next matching requests until `release()`; then they go on as usual."""
        self._faults.add(Fault("hang", method, path, _times(times)))

    def break_body(self, method: str | None = None, path: str = "*", times: int | None = 1) -> None:
        """Announce the length of the answer, send half of it, close the connection. The handler has run."""
        self._faults.add(Fault("break_body", method, path, _times(times)))

    def drop(self, method: str | None = None, path: str = "*", times: int | None = 1, *, before: bool = True) -> None:
        """Close the connection without an answer; `before=False` after the handler has run, so a write was applied."""
        self._faults.add(Fault("drop", method, path, _times(times), status=0 if before else 1))

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
        gate = Gate(method, path, before, _times(times) or 1)
        self._faults.hold(gate)
        return gate

    # One request.

    def _respond(self, request: Request) -> Answer:
        started = time.perf_counter()
        user = self._user(request.authorization)
        number = self._note(request, user)
        gate = self._faults.gate_for(request.method, request.path)
        fault = self._faults.next_fault(request.method, request.path)
        if gate is not None and gate.before:
            self._hold(gate)
        if fault is not None and fault.kind == "hang":
            with self._faults.hanging() as released:
                if not self._stopping.is_set():
                    released.wait()
        answer, latency = self._answer(request, user, fault)
        if gate is not None and not gate.before:
            self._hold(gate)
        if latency > 0:
            self._stopping.wait(latency)
        if self._stopping.is_set():
            answer = Answer(dropped=True)
        self._note_answer(number, request, user, answer, time.perf_counter() - started)
        return answer

    def _user(self, authorization: str) -> str | None:
        scheme, _, token = authorization.partition(" ")
        return self._users.get(token.strip()) if scheme.lower() == "basic" else None

    def _hold(self, gate: Gate) -> None:
        gate.arrived.set()
        if not self._stopping.is_set():
            gate.released.wait()

    def _answer(self, request: Request, user: str | None, fault: Fault | None) -> tuple[Answer, float]:
        """Return the answer and the seconds it has to wait."""
        if fault is not None and fault.kind == "fail":
            return _message(fault.status, "a fault on demand", fault.headers), self._latency
        if fault is not None and fault.kind == "drop" and fault.status == 0:
            return Answer(dropped=True), 0.0
        if self._stopping.is_set():
            return Answer(dropped=True), 0.0
        if user is None:
            challenge = {"WWW-Authenticate": 'Basic realm="WATS"'}
            return _message(401, "these credentials are not accepted", challenge), self._latency
        method = "GET" if request.method == "HEAD" else request.method
        match = _ROUTER.find(method, request.path)
        if match is None or (request.method == "HEAD" and match[0].kind == "write"):
            return _message(404, f"{request.method} {request.path} is no route of this server"), self._latency
        route, params = match
        latency = self._route_latency.get((route.method, route.template), self._latency)
        answer = self._call(route, params, request, user)
        if fault is not None and fault.kind == "break_body":
            answer = Answer(answer.status, answer.body, answer.content_type, answer.headers, broken=True)
        if fault is not None and fault.kind == "drop":
            answer = Answer(dropped=True)
        return answer, latency

    def _call(self, route: Route, params: dict[str, str], request: Request, user: str) -> Answer:
        """Run the handler; its reading or writing of the data, the revisions and the encoding are one atomic step."""
        state = self.state
        with state.lock:
            # A write shows the revisions that it leaves behind.
            revision = state.revision(route.tags)
            stamp = f"user={user} revision={revision}"
            try:
                value = route.handler(Call(state, user, params, request.query, request.body, stamp))
                if isinstance(value, Deferred):
                    value = self._later(route, value)
                elif route.kind == "write":
                    state.dirty(route.tags)
            except Refused as refused:
                return _message(refused.status, refused.message)
            if isinstance(value, Reply):
                return Answer(value.status, value.body, value.content_type)
            revision = state.revision(route.tags)
            return Answer(body=_encoded(value, user, self._numbers[user], revision))

    def _later(self, route: Route, deferred: Deferred) -> Any:
        """Apply the effect now or `process_delay` seconds later; return the answer."""
        if self._process_delay <= 0:
            deferred.apply()
            self.state.dirty(route.tags)
            return deferred.answer

        def apply() -> None:
            with self.state.lock:
                deferred.apply()
                self.state.dirty(route.tags)
            with self._lock:
                self._timers.discard(timer)

        timer = threading.Timer(self._process_delay, apply)
        timer.daemon = True
        with self._lock:
            self._timers.add(timer)
        timer.start()
        return deferred.answer

    def _note(self, request: Request, user: str | None) -> int:
        with self._lock:
            self._arrived += 1
            number = self._arrived
            self._log[number] = RequestRecord(number, request.method, request.path, request.query, user)
            if len(self._log) > _LOG_LENGTH:
                for oldest in list(islice(self._log, _LOG_LENGTH // 10)):
                    del self._log[oldest]
        return number

    def _note_answer(self, number: int, request: Request, user: str | None, answer: Answer, seconds: float) -> None:
        status = 0 if answer.dropped else answer.status
        record = RequestRecord(number, request.method, request.path, request.query, user, status, seconds)
        with self._lock:
            if number in self._log:
                self._log[number] = record


def _encoded(value: Any, user: str, user_number: int, revision: int) -> bytes:
    """Encode as JSON with the stamp in the object, or in the first object of a list.

    What has no place for a field (a number, an empty list, a list of names) carries the stamp as white space behind
    the value, which JSON ignores: the bits of the revision and of the user as blanks and tabs.
    """
    stamp = {"user": user, "revision": revision}
    if isinstance(value, dict):
        return _json({**value, STAMP: stamp})
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return _json([{**value[0], STAMP: stamp}, *value[1:]])
    bits = f"{revision:b} {user_number:b}".translate({ord("0"): " ", ord("1"): "\t", ord(" "): "\n"})
    return _json(value) + bits.encode()


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _message(status: int, message: str, headers: Mapping[str, str] | None = None) -> Answer:
    return Answer(status, _json({"message": message}), headers=headers or {})


def _seconds(name: str, value: float) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name} must be a number of seconds, not {value!r}")
    if not 0 <= value <= 3600:
        raise ValueError(f"{name} must be from 0 to 3600 seconds, not {value!r}")
    return float(value)


def _times(times: int | None) -> int | None:
    if times is not None and (isinstance(times, bool) or not isinstance(times, int) or times < 1):
        raise ValueError(f"times must be a whole number from 1, or None for ever, not {times!r}")
    return times


def _passwords(users: Iterable[str] | Mapping[str, str] | None) -> dict[str, str]:
    """Return the password of each user; users given as names get one of their own."""
    if users is None:
        users = ("demo", "alice", "bob")
    if isinstance(users, str) or not isinstance(users, (Mapping, Iterable)):
        raise TypeError(f"users must be names, or names with passwords, not {type(users).__name__}")
    known = dict(users) if isinstance(users, Mapping) else {name: f"{name}-simulated" for name in users}
    if not known:
        raise ValueError("users must name at least one user")
    for name, password in known.items():
        if not isinstance(name, str) or not name or ":" in name:
            raise ValueError(f"users must be non-empty names without a colon, not {name!r}")
        if not isinstance(password, str):
            raise TypeError(f"the password of user {name!r} must be a str, not {type(password).__name__}")
    return known
