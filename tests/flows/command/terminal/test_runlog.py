"""The log in a run's folder: every line once, only in a folder that is a run's, and never in one that has ended."""

import json
import logging

import pytest

from eraflow.runs.unfinished import note_run
from flows.command.terminal.runlog import RUN_LOG, run_log

LOGGER = logging.getLogger("prefect.flow_runs.of_this_test")


def said(run_dir, between, show=None):
    with run_log(run_dir, show):
        LOGGER.warning("before")
        between()
        LOGGER.warning("after")


def test_lines_from_before_the_folder_was_a_runs_are_in_it_once_and_in_order(tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    said(run, lambda: note_run(tmp_path, run, "weekly", None))
    lines = (run / RUN_LOG).read_text().splitlines()
    assert [line.rpartition(" - ")[2] for line in lines] == ["before", "after"]
    assert "WARNING" in lines[0]


@pytest.mark.parametrize("outcome", ["submitted", "held", "ready"])
def test_a_run_that_has_ended_gets_no_line(tmp_path, outcome):
    note_run(tmp_path, tmp_path, "weekly", None)
    (tmp_path / "record.json").write_text(json.dumps({"outcome": outcome}))
    before = sorted(tmp_path.rglob("*"))
    said(tmp_path, lambda: None)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_folder_that_is_somebody_elses_gets_no_line(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    said(tmp_path, lambda: None)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_view_takes_the_lines_instead_of_the_terminal_and_gives_them_back(tmp_path):
    root, shown = logging.getLogger(), []
    before = list(root.handlers)
    said(tmp_path / "new", lambda: None, lambda record: shown.append(record.getMessage()))
    assert shown == ["before", "after"]
    assert sorted(map(id, root.handlers)) == sorted(map(id, before))


def test_a_file_that_cannot_be_written_does_not_end_a_run(tmp_path):
    run = tmp_path / "run"
    note_run(tmp_path, run, "weekly", None)
    (run / RUN_LOG).mkdir()
    said(run, lambda: None)
