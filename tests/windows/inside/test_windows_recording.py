"""A trace that another program has open, which Windows lets nobody rename."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from pywats_cache.diagnostics.simulate import read_trace
from pywats_cache.telemetry import trace_recorder
from pywats_cache.telemetry.trace_recorder import Recorder, rotated


def _times(path: Path) -> list[float]:
    return [line["t"] for line in read_trace(path)]  # which reads the older half too


def test_lines_wait_while_somebody_has_the_file_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(trace_recorder, "EVERY", 1000.0)  # by the test alone
    path = tmp_path / "trace.jsonl"
    recorder = Recorder(path, max_bytes=8192)
    line = {"e": "q", "k": "x" * 1500}
    with caplog.at_level(logging.WARNING):
        for t in (1.0, 2.0):
            recorder.put({**line, "t": t})
            recorder.flush()
        with path.open("rb"):
            for t in (3.0, 4.0):
                recorder.put({**line, "t": t})
                recorder.flush()
        assert [record.getMessage() for record in caplog.records] == [
            "recording waits: another program has the file open, so that it cannot be renamed"
        ]
    recorder.flush()
    assert rotated(path).exists()
    assert recorder.dropped == 0
    assert _times(path) == [1.0, 2.0, 3.0, 4.0]


def test_what_waits_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trace_recorder, "EVERY", 1000.0)
    monkeypatch.setattr(trace_recorder, "BACKLOG", 3)
    path = tmp_path / "trace.jsonl"
    recorder = Recorder(path, max_bytes=4096)
    recorder.put({"e": "q", "t": 0.0, "k": "x" * 1900})
    recorder.flush()
    with path.open("rb"):
        for t in range(5):
            recorder.put({"e": "q", "t": float(t), "k": "x" * 500})
            recorder.flush()
    assert (len(recorder._queue), recorder.dropped) == (3, 2)
