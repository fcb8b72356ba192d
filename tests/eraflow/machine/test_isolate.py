"""A stage in a child: what comes back, and what every way of dying becomes."""

from __future__ import annotations

import json
import threading
import time

import pytest

from eraflow.disk.atomic import StorageError
from eraflow.machine.failures import StageCrashed, StageError, StageKilled, StageOutOfMemory, StageTimeout
from tests.eraflow.machine.isolated import isolated


def test_value_output_and_logging_come_back(tmp_path):
    lines: list[str] = []
    outcome = isolated("add", tmp_path, lines, kwargs={"a": 1, "b": 2, "path": tmp_path})
    assert outcome.value["sum"] == 3
    assert outcome.value["path"] == str(tmp_path)
    assert outcome.value["nan"] != outcome.value["nan"]
    assert lines == ["adding", "INFO library heard"]
    assert "INFO library heard" in (tmp_path / "stage.log").read_text()
    assert outcome.seconds > 0
    assert outcome.samples


@pytest.mark.parametrize(
    ("how", "error", "kind"),
    [
        ("kill", StageKilled, "killed"),
        ("term", StageKilled, "interrupted"),
        ("abort", StageCrashed, "abort"),
        ("bad_alloc", StageOutOfMemory, "oom"),
        ("segfault", StageCrashed, "segfault"),
        ("openblas", StageOutOfMemory, "oom"),
        ("silent", StageError, "error"),
        ("exit", StageError, "error"),
    ],
)
def test_every_death_has_a_name(tmp_path, how, error, kind):
    with pytest.raises(StageError) as caught:
        isolated("die", tmp_path, kwargs={"how": how})
    assert type(caught.value) is error
    assert caught.value.kind == kind
    assert str(tmp_path / "stage.log") in caught.value.remedy


def test_a_segfault_shows_where(tmp_path):
    with pytest.raises(StageCrashed) as caught:
        isolated("die", tmp_path, kwargs={"how": "segfault"})
    assert "in die" in caught.value.detail


def test_timeout_ends_the_stage(tmp_path):
    began = time.monotonic()
    with pytest.raises(StageTimeout, match=r"machine\.stage_minutes") as caught:
        isolated("sleep", tmp_path, timeout_s=0.5, kwargs={"seconds": 60})
    assert time.monotonic() - began < 5
    assert caught.value.kind == "timeout"


def test_works_from_a_thread_that_is_not_the_main_one(tmp_path):
    values: list[int] = []
    work = threading.Thread(
        target=lambda: values.append(isolated("add", tmp_path, kwargs={"a": 2, "b": 2}).value["sum"])
    )
    work.start()
    work.join(20)
    assert values == [4]


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError):
        isolated("add", tmp_path / "file", kwargs={"a": 1, "b": 1})


def test_the_result_of_an_earlier_attempt_is_not_taken(tmp_path):
    (tmp_path / "out.json").write_text(json.dumps({"ok": True, "value": "old"}))
    with pytest.raises(StageKilled):
        isolated("die", tmp_path, kwargs={"how": "kill"})
