"""The runs of a home: each is a line, a broken one hides no other, and each is found by what is typed of it."""

import json
import time
from pathlib import Path

import pytest

from eraflow.disk.atomic import write_json
from eraflow.runs.runlist import AmbiguousRunError, NoSuchRunError, find_run, list_runs
from eraflow.runs.unfinished import note_run
from flows.command import cli
from tests.weeks import tiny


def made(home: Path, name: str, started: float, outcome: str | None = "held", weights: str = "f") -> Path:
    folder = home / "runs" / name
    folder.mkdir(parents=True)
    write_json(folder / "run.json", {"flow": "weekly", "flow_runs": [], "started": started})
    write_json(folder / "clock.json", {"started": started})
    (folder / "settings.json").write_text(tiny(home).model_dump_json())
    if outcome is not None:
        submission = {"ensemble_signature": weights * 64, "state": {"id": "1"} if outcome == "submitted" else None}
        write_json(folder / "submission" / "record.json", submission)
        scores = {"blend": {"corr": {"mean": 0.0123}, "payout": {"mean": 0.4}}}
        verdict = {"passed": outcome != "held"}
        record = {"outcome": outcome, "verdict": verdict, "scores": scores, "submission": submission}
        write_json(folder / "record.json", record)
    return folder


@pytest.fixture
def home(tmp_path):
    made(tmp_path, "20261101T000000-weekly", 1_793_500_000, "submitted", "a")
    made(tmp_path, "20261108T000000-weekly", 1_794_100_000, "held", "b")
    made(tmp_path, "20261108T000000-weekly-2", 1_794_100_100, None)
    return tmp_path


def test_the_newest_comes_first_and_says_what_came_of_it(home):
    found = list_runs(home)
    assert [line.state for line in found] == ["unfinished", "held", "sent"]
    assert [line.passed for line in found] == [None, False, True]
    assert [line.sent for line in found] == [False, False, True]
    assert (found[1].corr, found[1].payout, found[1].profile) == (0.0123, 0.4, "sandbox")


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"\xff\xfe", b'{"flow": 3}', b'{"flow": "weekly", "flow_runs": []']
)
def test_a_broken_folder_is_told_and_hides_no_other(home, content):
    (home / "runs" / "torn").mkdir()
    (home / "runs" / "torn" / "run.json").write_bytes(content)
    found = list_runs(home)
    assert [line.problem for line in found[:3]] == ["", "", ""]
    assert found[-1].folder.endswith("torn")
    assert found[-1].problem


def test_a_torn_record_is_told(home):
    (home / "runs" / "20261108T000000-weekly" / "record.json").write_text("{")
    assert [line.problem for line in list_runs(home)].count("record.json cannot be read") == 1


def test_a_run_at_another_place_is_listed_until_it_is_gone(home, tmp_path_factory):
    folder = tmp_path_factory.mktemp("elsewhere")
    note_run(home, folder, "daily", None)
    assert str(folder) in [line.folder for line in list_runs(home)]
    (folder / "run.json").unlink()
    assert str(folder) not in [line.folder for line in list_runs(home)]


def test_a_run_is_found_by_folder_name_and_unique_beginning(home):
    folder = home / "runs" / "20261101T000000-weekly"
    name = next(line.name for line in list_runs(home) if line.folder == str(folder))
    for typed in (str(folder), folder.name, "20261101", name, name[:13]):
        assert find_run(home, typed) == folder
    assert find_run(home, "20261108T000000-weekly").name == "20261108T000000-weekly"


def test_what_fits_several_or_none_is_refused_with_the_candidates(home):
    with pytest.raises(AmbiguousRunError, match="20261108T000000-weekly-2, 20261108T000000-weekly;"):
        find_run(home, "20261108")
    for typed in ("", "nothing", "*", "../runs", str(home)):
        with pytest.raises(NoSuchRunError, match="20261101T000000-weekly"):
            find_run(home, typed)
    with pytest.raises(NoSuchRunError, match="there are: none"):
        find_run(home / "empty", "x")


def test_a_thousand_runs_are_listed_quickly(tmp_path):
    for number in range(1000):
        made(tmp_path, f"run-{number:04d}", 1_700_000_000 + number)
    began = time.process_time()
    assert len(list_runs(tmp_path)) == 1000
    assert time.process_time() - began < 10  # 0.6 s on a quiet computer


def test_the_table_fits_eighty_columns_and_the_record_holds_all(home, capsys):
    (home / "runs" / "torn").mkdir()
    assert cli.main(["runs", "--home", str(home), "--limit", "1"]) == 0
    told = capsys.readouterr().out
    assert max(map(len, told.replace(str(home), "").splitlines())) <= 80
    assert "2 older ones are not shown" in told
    assert "torn" in told
    assert cli.main(["runs", "--home", str(home), "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["runs"]) == 4


def test_show_tells_of_a_run_that_has_not_ended(home, capsys):
    assert cli.main(["show", "20261108T000000-weekly-2", "--home", str(home)]) == 0
    told = capsys.readouterr().out
    assert "Unfinished" in told
    assert cli.main(["show", "20261108", "--home", str(home), "--json"]) == 2
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["error"]["code"] == "ambiguous_run"
