"""Forms of an answer among processes: each finds its own, and none that another process stored for another form."""

from __future__ import annotations

from typing import Any

from shared_clients import Make

JSON, XML = {"Accept": "application/json"}, {"Accept": "application/xml"}


def test_processes_share_an_answer_with_those_who_ask_for_its_form(process: Make, origin: Any) -> None:
    origin.reply = lambda request: origin.http.Response(200, text=request.headers["Accept"])
    one, other = process(), process()
    for wish in (JSON, XML):
        one.get("/a", headers=wish)
    for wish in (XML, JSON):
        response = other.get("/a", headers=wish)
        assert (response.text, response.extensions["pywats_cache"].status) == (wish["Accept"], "hit")
    assert other.get("/a").extensions["pywats_cache"][:2] == ("miss", "vary")
    assert process().get("/a", headers={"Accept": "text/csv"}).extensions["pywats_cache"][:2] == ("miss", "unknown")


def test_what_a_client_warms_another_process_finds(process: Make, origin: Any) -> None:
    one, other = process(), process()
    one.cache.warm([one.build_request("GET", "/a", headers=JSON)])
    assert other.get("/a", headers=JSON).extensions["pywats_cache"].status == "hit"
    assert origin.count == 1
