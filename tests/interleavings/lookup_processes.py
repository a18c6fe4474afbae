"""Processes that read as a client does, which asks the cache before it builds a request, and what may meet them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
from register_world import CLIENT, ITEM, World, reading, request
from step_explorer import Process, Violation

from pywats_cache.engine.steps import Body, Fetch, Join, Stale


def looking_up(
    path: str = ITEM,
    *,
    user: str = "",
    language: str = "",
    ends: str = "ok",
    patient: bool = True,
    leaves: bool = False,
    **own: Any,
) -> Callable[[World], Process]:
    """A read that a client may answer before it builds a request; else it is a `reading` with these arguments.

    A refresh that it starts is fetched in its own next steps.
    """

    def process(world: World) -> Process:
        engine = world.engine
        asked = request("GET", path, user, language)
        began = world.tick
        step = world.look_up(path, user, language)
        if isinstance(step, Join):
            woken: list[None] = []

            def wake() -> None:
                woken.append(None)

            step.flight.on_landing(wake)
            yield (lambda: woken) if patient and not leaves else None
            step.flight.forget(wake)
            if leaves:
                engine.left(step)
                world.over()
                return
            step = engine.rejoin_lookup(step)
            if step is not None and CLIENT.event_hooks["response"]:
                raise Violation("a lookup was answered past a hook of its client")
        if step is None:
            yield from reading(path, user=user, language=language, ends=ends, patient=patient, leaves=leaves, **own)(
                world
            )
            return
        world.over()
        answer = step.response if isinstance(step, Stale) else step
        world.check_age(answer)
        world.got(began, asked, answer.content)
        if isinstance(step, Stale):
            yield from refreshing(world, step, ends)

    return process


def refreshing(world: World, stale: Stale, ends: str = "ok") -> Process:
    """A refresh in the background. Its steps: begin; the origin reads its value; the answer arrives and is finished."""
    engine = world.engine
    world.refreshes += 1
    yield None
    refresh = engine.refresh(stale)
    if refresh is None:
        return
    yield None
    response = world.serve(refresh.to_send)
    yield None
    if ends == "fails":
        engine.failed(refresh, httpx.ReadError("broken"))
        return
    body = engine.arrived(refresh, response)
    if body is Body.RENEW:
        engine.renewed(refresh, response)
    else:
        assert body is Body.READ
        engine.finished(refresh, response, response.content)


def streaming(path: str = ITEM) -> Callable[[World], Process]:
    """A read of a body of unknown length whose reader looks the same up before its end."""

    def process(world: World) -> Process:
        engine = world.engine
        asked = request("GET", path)
        began = world.tick
        step = world.begin(asked)
        if not isinstance(step, Fetch):
            if isinstance(step, Join):
                engine.left(step)
            return
        response = world.serve(asked)
        content = response.content
        yield None
        del response.headers["content-length"]
        del response._content
        assert engine.arrived(step, response) is Body.STREAM
        incoming = engine.incoming(step, response, httpx.Response)
        incoming.add(content)
        incoming.handed_on()
        yield from looking_up(path)(world)
        incoming.asked_again()
        incoming.finish()
        world.got(began, asked, content)

    return process


def hooking() -> Callable[[World], Process]:
    """The client gets an event hook."""

    def process(world: World) -> Process:
        CLIENT.event_hooks = {"response": [print]}
        yield None

    return process


def waiting(seconds: float) -> Callable[[World], Process]:
    """Time passes."""

    def process(world: World) -> Process:
        world.clock.advance(seconds)
        yield None

    return process
