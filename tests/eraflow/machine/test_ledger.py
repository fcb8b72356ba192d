"""The ledger survives what it is there for: deaths in the middle."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eraflow.disk.atomic import StorageError
from eraflow.machine.ledger import HAPPENED, Ledger, changes
from eraflow.machine.plan import FAILURE_KINDS, Plan, next_plan


@pytest.fixture
def ledger(tmp_path):
    return Ledger(tmp_path / "stage" / "ledger.jsonl")


def test_attempts_come_back_with_what_changed(ledger):
    first = ledger.start(Plan())
    ledger.finish(first, "oom", peak_mb=951.234, seconds=3.5, error="too much")
    second = ledger.start(Plan(rows_in_memory=131_072, low_memory=True))
    ledger.finish(second, "ok", peak_mb=500.0, seconds=4.0)
    rows = Ledger(ledger.path).rows
    assert [row["attempt"] for row in rows] == [1, 2]
    assert [row["kind"] for row in rows] == ["oom", "ok"]
    assert rows[0]["error"] == "too much"
    assert Plan(**rows[1]["plan"]) == Plan(rows_in_memory=131_072, low_memory=True)
    assert rows[0]["changed"] == "first plan"
    assert rows[1]["changed"] == "rows_in_memory 262,144 to 131,072, low_memory off to on"
    assert ledger.table()[0]["peak MiB"] == 951


def test_the_table_says_plan_what_happened_peak_what_changed_and_why(ledger):
    ledger.finish(ledger.start(Plan()), "oom", peak_mb=951.2, seconds=3.5, error="too much")
    ledger.finish(ledger.start(Plan(rows_in_memory=131_072)), "nan", peak_mb=500.0, seconds=4.0)
    ledger.start(Plan(rows_in_memory=131_072, rate_factor=0.3, clip_norm=1.0))  # never ended
    ledger.finish(ledger.start(Plan(rows_in_memory=131_072, rate_factor=0.3, clip_norm=1.0)), "ok", peak_mb=480)
    table = ledger.table()
    assert [row["what happened"] for row in table] == ["oom", "nan", "interrupted", "ok"]
    assert [row["changed"] for row in table] == [
        "first plan",
        "rows_in_memory 262,144 to 131,072",
        "rate_factor 1 to 0.3, clip_norm none to 1",
        "the same plan again",
    ]
    assert [row["why"] for row in table] == [
        "",
        "attempt 1: memory ran out at 951 MiB",
        "attempt 2: NaN or infinity",
        "attempt 3: its process or the one above was ended",
    ]
    assert table[0]["peak MiB"] == 951
    assert "rate_factor=0.3" in table[2]["plan"]


def test_every_kind_of_failure_has_words():
    assert set(HAPPENED) == FAILURE_KINDS


def test_an_attempt_without_an_end_was_interrupted(ledger):
    ledger.start(Plan())
    assert ledger.failures() == ["interrupted"]
    ledger.start(Plan())
    assert ledger.failures() == ["interrupted", "interrupted"]
    assert next_plan(Plan(), ledger.failures()) == next_plan(Plan(), ["oom"])


def test_the_line_is_on_disk_before_the_attempt(tmp_path):
    code = (
        "import os, sys; from eraflow.machine.ledger import Ledger; from eraflow.machine.plan import Plan;"
        "Ledger(sys.argv[1]).start(Plan(threads=7)); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "l")], check=False)
    ledger = Ledger(tmp_path / "l")
    assert ledger.failures() == ["interrupted"]
    assert ledger.rows[0]["plan"]["threads"] == 7


@settings(max_examples=40)
@given(cut=st.integers(1, 400))
def test_a_torn_last_line_never_harms_another(tmp_path_factory, cut):
    ledger = Ledger(tmp_path_factory.mktemp("torn") / "ledger.jsonl")
    ledger.finish(ledger.start(Plan()), "oom")
    whole = ledger.path.read_bytes()
    ledger.start(Plan(threads=1))
    torn = ledger.path.read_bytes()[: len(whole) + cut]
    ledger.path.write_bytes(torn)
    attempt = ledger.start(Plan(threads=1))
    ledger.finish(attempt, "ok")
    rows = ledger.rows
    assert rows[0]["kind"] == "oom"
    assert rows[-1]["kind"] == "ok"
    assert [row["attempt"] for row in rows] == list(range(1, len(rows) + 1))


def test_a_torn_end_means_interrupted(ledger):
    ledger.finish(ledger.start(Plan()), "ok")
    ledger.path.write_bytes(ledger.path.read_bytes()[:-10])
    assert ledger.failures() == ["interrupted"]


@pytest.mark.parametrize("last", ["ok", "error", "disk_full"])
def test_the_ladder_begins_anew_after_success_and_after_what_no_plan_cures(ledger, last):
    for kind in ("oom", last, "killed"):
        ledger.finish(ledger.start(Plan()), kind)
    assert ledger.failures() == ["killed"]


def test_closing_begins_a_new_ladder_and_keeps_the_rows(ledger):
    ledger.finish(ledger.start(Plan()), "oom")
    ledger.close()
    assert ledger.failures() == []
    assert ledger.start(Plan()) == 2
    assert [row["why"] for row in ledger.rows] == ["", ""]
    assert [row["changed"] for row in ledger.rows] == ["first plan", "first plan"]


def test_foreign_lines_are_skipped(ledger):
    ledger.finish(ledger.start(Plan()), "oom")
    with ledger.path.open("ab") as file:
        file.write(b'\xff\xfe\n[1]\n{"event": "start"}\n{"event": "else", "attempt": 1}\n')
    assert ledger.failures() == ["oom"]


def test_every_line_is_json(ledger):
    ledger.finish(ledger.start(Plan()), "oom", error="two\nlines")
    assert [json.loads(line)["event"] for line in ledger.path.read_text().splitlines()] == ["start", "end"]


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError):
        Ledger(tmp_path / "file" / "ledger.jsonl").start(Plan())


def test_the_same_plan_is_called_so():
    assert changes(Plan(), Plan().as_dict()) == "the same plan again"
