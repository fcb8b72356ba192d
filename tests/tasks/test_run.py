"""The folder of a run: its own for each flow run, the same again when Prefect retries it."""

import pytest
from prefect import flow

from eraflow.runs.unfinished import note_run
from eraflow.runs.weekrecord import week_record
from tasks.run import open_run
from tests.weeks import tiny

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("prefect_server")]


def test_a_flow_run_that_prefect_retries_goes_on_in_its_folder(tmp_path):
    folders = []

    @flow(retries=1)
    def cut_off(settings):
        with open_run(settings, "weekly") as run:
            folders.append(run.path)
            (run.path / f"made-{len(folders)}").write_text("")
            (run.path / ".half.parquet.0123abcd.tmp").write_text("torn")
            if len(folders) == 1:
                raise RuntimeError("power cut")

    cut_off(tiny(tmp_path))
    assert len(folders) == 2
    assert folders[0] == folders[1]
    assert (folders[0] / "made-1").exists()
    cut_off(tiny(tmp_path))
    assert folders[2] != folders[0]


def test_leftovers_of_a_killed_run_are_removed(tmp_path):
    @flow
    def listing(settings):
        with open_run(settings, "weekly") as run:
            return [path.name for path in run.path.rglob(".*.tmp")]

    place = tmp_path / "mine"
    (place / "train-a").mkdir(parents=True)
    note_run(tmp_path, place, "weekly", None)
    (place / "train-a" / ".oof.parquet.0123abcd.tmp").write_text("torn")
    (place / ".mine.tmp").write_text("another program's")
    assert listing(tiny(tmp_path, run_dir=str(place))) == [".mine.tmp"]


def test_a_run_ended_from_outside_says_that_it_can_go_on(tmp_path):
    @flow
    def interrupted(settings):
        with open_run(settings, "weekly"):
            raise KeyboardInterrupt

    place = tmp_path / "mine"
    with pytest.raises(KeyboardInterrupt):
        interrupted(tiny(tmp_path, run_dir=str(place)))
    error = week_record(place)["error"]
    assert error["code"] == "interrupted"
    assert "--resume" in error["remedy"]
