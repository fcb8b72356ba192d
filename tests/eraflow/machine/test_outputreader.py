"""A stage that writes without end: its log keeps the last of it, in bounded space."""

import os

from eraflow.machine import outputreader
from eraflow.machine.outputreader import OutputReader
from eraflow.runs.stage import NOT_CONTENT


def test_the_log_of_a_stage_is_bounded_and_ends_with_its_last_lines(tmp_path, monkeypatch):
    monkeypatch.setattr(outputreader, "LONGEST_LOG_BYTES", 10_000)
    reading, writing = os.pipe()
    listening = OutputReader(os.fdopen(reading, "rb"), tmp_path / "stage.log")
    listening.abandon()
    listening.start()
    with os.fdopen(writing, "w") as stage:
        stage.writelines(f"line {number:06d}\n" for number in range(20_000))
    listening.join()
    kept = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert set(kept) == {"stage.log", "stage.log.older"} <= NOT_CONTENT | {"stage.log"}
    assert sum(map(len, kept.values())) < 21_000
    last = (kept["stage.log.older"] + kept["stage.log"]).splitlines()
    assert last == [f"line {number:06d}" for number in range(20_000 - len(last), 20_000)]
