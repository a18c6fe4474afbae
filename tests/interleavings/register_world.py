"""One engine, one origin server with one register, and the processes that read and write it step by step.

The register is *regular*: a read returns what the last write completed before it began left behind, or what a write
concurrent with it wrote. Because the order in which the server applied the writes is known, the check is a little
sharper: a value is allowed unless a write that the server applied later had completed when the read began.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import httpx
from step_explorer import Process, Violation

from pywats_cache import CacheClient, Controller, MemoryStorage
from pywats_cache.coherence.single_flight import Flight
from pywats_cache.engine.engine import Engine
from pywats_cache.engine.steps import Body, Fetch, Forward, Join
from pywats_cache.httpx import LIBRARY
from pywats_cache.storage.entry import StoredResponse
from pywats_cache.testing import FakeClock
from pywats_cache.transport.fast_path import Door, Pending

SERVER = "http://origin.example"
LANGUAGE = "X-Language"  # not Accept-Language, which separates answers without Vary too
ITEM, COLLECTION, SIBLING = "/a/x", "/a", "/a/y"
_requests: dict[Any, httpx.Request] = {}


def request(method: str, path: str, user: str = "", language: str = "", **directives: Any) -> httpx.Request:
    """A request, made once: the engine changes nothing in it."""
    key = (method, path, user, language, *directives.items())
    if key not in _requests:
        headers = {}
        if user:
            headers["Authorization"] = f"Bearer {user}"
        if language:
            headers[LANGUAGE] = language
        extensions = {"pywats_cache": directives} if directives else {}
        _requests[key] = httpx.Request(method, SERVER + path, headers=headers, extensions=extensions)
    return _requests[key]


@dataclass
class Version:
    """One value of the register: when the server took it, and when its writer was told (None: not yet)."""

    applied: int
    completed: int | None = None


@dataclass
class Reading:
    """What one read got, and when it began and ended."""

    began: int
    ended: int
    number: int
    user: str
    language: str
    wanted_user: str = ""
    wanted_language: str = ""


class World:
    """An engine and its origin. `tick` numbers the steps."""

    def __init__(self, *processes: Callable[[World], Process], controller: Controller | None = None) -> None:
        self.clock = FakeClock()
        self.storage = MemoryStorage(clock=self.clock)
        self.monotonic = 0.0
        """The clock of those who wait."""
        self.storage.flights.monotonic = lambda: self.monotonic
        self.turn = -1
        self.engine = Engine(LIBRARY, controller or CONTROLLER, self.storage, self.clock, lambda: (self.turn, None))
        self.versions = [Version(0, 0)]
        self.readings: list[Reading] = []
        self.fetches = 0
        self.begun = 0
        self.looked_up = 0
        """Of those begun, the ones that were over before the client built a request."""
        self.refreshes = 0
        """How often a stale answer started one in the background."""
        self.finished: list[float] = []
        """When each finished fetch began, on the clock."""
        self.tick = 1
        self.expect: Callable[[World], None] | None = None
        self.validator: str | None = None
        """The ETag of every answer: one that does not tell a value from the next, so only the cache knows of writes."""
        CLIENT._transport._engine = self.engine
        CLIENT.event_hooks = {}
        self.door = Door(CLIENT, self.engine)
        self.processes = [process(self) for process in processes]

    def step(self, index: int) -> None:
        self.tick += 1
        self.turn = index

    # What the processes do.

    def begin(self, asked: httpx.Request) -> Any:
        self.begun += 1
        return self.engine.begin(asked)

    def look_up(self, path: str, user: str = "", language: str = "") -> Any:
        """What a client asks first, before it builds a request: a Response, a Join, a Stale, or None."""
        call = {"headers": dict(request("GET", path, user, language).headers.items())}
        found = self.door.answer(SERVER + path, call)
        if not isinstance(found, (Pending, httpx.Response, type(None))):  # the first call of its kind
            found = self.door.answer(SERVER + path, call)
        return found.step if isinstance(found, Pending) else found

    def over(self) -> None:
        """A lookup ends here, without a request."""
        self.begun += 1
        self.looked_up += 1

    def serve(self, asked: httpx.Request, **headers: str) -> httpx.Response:
        """The origin answers now: who asked, in which language, and the number of the value."""
        user = asked.headers.get("Authorization", "")
        language = asked.headers.get(LANGUAGE, "")
        if language:
            headers["Vary"] = LANGUAGE
        self.fetches += 1
        if self.validator is not None:
            headers["ETag"] = self.validator
            if asked.headers.get("If-None-Match") == self.validator:
                return httpx.Response(304, headers=headers)
        return httpx.Response(200, headers=headers, content=f"{len(self.versions) - 1}:{user}:{language}".encode())

    def apply(self) -> Version:
        version = Version(self.tick)
        self.versions.append(version)
        return version

    def waits_no_longer(self, woken: list[None], flight: Flight[StoredResponse]) -> bool:
        return bool(woken) or self.storage.flights.must_leave(flight)

    def check_age(self, answer: httpx.Response) -> None:
        """Nothing past its TTL may be said to be fresh."""
        outcome = answer.extensions.get("pywats_cache")
        if outcome is not None and outcome.status in ("hit", "collapsed") and not 0.0 <= outcome.age < outcome.ttl:
            raise Violation(f"a read got what is past its TTL: {outcome}")

    def got(self, began: int, asked: httpx.Request, content: bytes) -> None:
        number, user, language = content.decode().split(":")
        wanted = asked.headers.get("Authorization", ""), asked.headers.get(LANGUAGE, "")
        self.readings.append(Reading(began, self.tick, int(number), user, language, *wanted))

    def warm(self, *paths: str, user: str = "") -> None:
        """Read `paths` once before anything runs."""
        for path in paths or (ITEM,):
            for _ in reading(path, user=user)(self):
                pass
        self.fetches = 0

    # What must hold.

    def check(self, stuck: list[int]) -> None:
        if stuck:
            raise Violation(f"processes {stuck} wait for ever")
        if len(self.storage.flights):
            raise Violation("a flight is left in the table")
        stats = self.engine.stats
        if (stats.requests, stats.lookups) != (self.begun, self.looked_up):
            raise Violation(f"{self.begun} requests, {self.looked_up} of them lookups, but {stats}")
        self.tick += 1
        self.turn = 1_000_000
        for path in (ITEM, COLLECTION):
            for user in sorted({reading.wanted_user for reading in self.readings} | {""}):
                asked = request("GET", path, user.removeprefix("Bearer "))
                answer = self.engine.begin(asked)
                if isinstance(answer, httpx.Response):
                    self.got(self.tick, asked, answer.content)
                elif isinstance(answer, Fetch):
                    self.engine.failed(answer)
        self.check_history()
        if self.expect is not None:
            self.expect(self)

    def check_history(self) -> None:
        for r in self.readings:
            later = self.versions[r.number + 1 :]
            if any(v.completed is not None and v.completed < r.began for v in later):
                raise Violation(f"a read got value {r.number}, older than a write that had completed: {r}")
            if self.versions[r.number].applied > r.ended:
                raise Violation(f"a read got a value from the future: {r}")
            if (r.user, r.language) != (r.wanted_user, r.wanted_language):
                raise Violation(f"a read got another's answer: {r}")


CONTROLLER = Controller(ttl=300.0)
CLIENT = CacheClient(transport=httpx.MockTransport(lambda asked: httpx.Response(500)))
"""Whose lookups go to the engine of the world that was made last."""


def reading(
    path: str = ITEM,
    *,
    user: str = "",
    language: str = "",
    ends: str = "ok",
    slow: bool = False,
    patient: bool = True,
    leaves: bool = False,
    others: int = 0,
    **directives: Any,
) -> Callable[[World], Process]:
    """A read. Its steps: begin; the origin reads its value; the answer arrives and is finished.

    - `ends`: how its own fetch ends: `ok`, `fails`, `unreachable` (the server is), `uncacheable`, `teed` (a body of
      unknown length), `torn` (such a body, closed early), `streamed` (one of known length, in two chunks), `dawdles`
      (the same, but it goes on only after `others` have an answer); `slow`: arriving and finishing are two steps.
    - `directives`: of the request; with `refresh` it comes a second after what went before.
    - `patient`: False gives up waiting for another's flight at any moment, as a join time-out does; `leaves`: is
      cancelled while it waits.
    """

    def process(world: World) -> Process:
        engine = world.engine
        asked = request("GET", path, user, language, **directives)
        began = world.tick
        if "refresh" in directives:
            world.clock.advance(1.0)
        step = world.begin(asked)
        while not isinstance(step, httpx.Response):
            if isinstance(step, Join):
                woken: list[None] = []

                def wake(woken: list[None] = woken) -> None:
                    woken.append(None)

                step.flight.on_landing(wake)
                over = partial(world.waits_no_longer, woken, step.flight)
                yield over if patient and not leaves else None
                step.flight.forget(wake)
                if leaves:
                    engine.left(step)
                    return
                step = engine.rejoin(step)
                continue
            assert isinstance(step, Fetch), step
            yield None
            headers = {"Cache-Control": "no-store"} if ends == "uncacheable" else {}
            response = world.serve(step.to_send, **headers)
            content = response.content
            yield None
            if ends == "fails":
                engine.failed(step)
                return
            if ends == "unreachable":
                step = engine.failed(step, httpx.ConnectError("refused"))
                if step is None:
                    return
                continue
            if ends in ("teed", "torn"):
                del response.headers["content-length"]
            if ends in ("teed", "torn", "streamed", "dawdles"):
                del response._content
            body = engine.arrived(step, response)
            if slow:
                yield None
            if body is Body.RENEW:
                world.finished.append(step.flight.began)
                step = engine.renewed(step, response)
            elif body is Body.READ:
                world.finished.append(step.flight.began)
                step = engine.finished(step, response, content)
                assert step.content == content
            elif body is Body.STREAM:
                incoming = engine.incoming(step, response, httpx.Response)
                for last, chunk in ((False, content[:1]), (True, content[1:])):
                    incoming.add(chunk)
                    if incoming.is_whole:
                        incoming.finish()
                    if last and ends in ("streamed", "dawdles") and step.flight.landing is None:
                        raise Violation("the last chunk is handed on before the flight has landed")
                    incoming.handed_on()
                    if ends == "dawdles":
                        world.monotonic += 0.1
                        yield lambda: len(world.readings) >= others
                    yield None
                    incoming.asked_again()
                    if ends == "torn":
                        incoming.close()
                        break
                incoming.finish()
                step = httpx.Response(200, content=content)
            else:
                step = response
        world.check_age(step)
        world.got(began, asked, step.content)

    return process


def breaking_off(path: str = ITEM) -> Callable[[World], Process]:
    """A read that is interrupted after it opened its flight, before its request is sent. Not so if it opens none."""

    def process(world: World) -> Process:
        def interrupted(*_: Any) -> None:
            raise KeyboardInterrupt

        world.engine._ask_about = interrupted  # type: ignore[method-assign]
        try:
            step = world.begin(request("GET", path))
        except KeyboardInterrupt:
            return
        finally:
            del world.engine._ask_about
        if isinstance(step, Fetch):
            world.engine.failed(step)
        elif isinstance(step, Join):
            world.engine.left(step)
        yield None

    return process


def writing(ends: str = "ok", *, path: str = ITEM, method: str = "PUT") -> Callable[[World], Process]:
    """A write. Its steps: begin; the origin applies it; its answer is there.

    `ends`: `ok`, `error` (500, applied), `lost` (applied, the answer is lost), `late` (the connection breaks, the
    origin applies it after that), `refused` (404, not applied), `unsent` (no connection, not applied).
    """

    def process(world: World) -> Process:
        engine = world.engine
        forward = world.begin(request(method, path))
        assert isinstance(forward, Forward)
        yield None
        if ends == "late":
            engine.forward_failed(forward, httpx.ReadError("broken"))
            yield None
            world.apply().completed = world.tick
            return
        version = world.apply() if ends not in ("refused", "unsent") else None
        yield None
        if ends == "lost":
            engine.forward_failed(forward, httpx.ReadTimeout("no answer"))
        elif ends == "unsent":
            engine.forward_failed(forward, httpx.ConnectError("nobody there"))
        else:
            status = {"ok": 200, "error": 500, "refused": 404}[ends]
            engine.forwarded(forward, httpx.Response(status))
        if version is not None:
            version.completed = world.tick

    return process


def invalidating(how: str = "path") -> Callable[[World], Process]:
    """The value changes behind the cache's back, and then somebody says so."""

    def process(world: World) -> Process:
        version = world.apply()
        yield None
        if how == "clear":
            world.storage.clear()
        else:
            world.engine.invalidate("/a", ())
        version.completed = world.tick

    return process


def changing() -> Callable[[World], Process]:
    """The value changes behind the cache's back, and nobody says so."""

    def process(world: World) -> Process:
        world.apply()
        yield None

    return process
