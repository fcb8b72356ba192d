"""`--resume`: which run is continued, and with which settings."""

import json
from pathlib import Path

import pytest

import flows.command.starting.start
from eraflow.disk.atomic import write_json
from eraflow.errors import SettingsError
from eraflow.runs.conclusion import RunConcludedError
from eraflow.runs.continuation import OtherRunError
from eraflow.runs.unfinished import note_run
from flows.command.cli import parser
from flows.command.starting import start


def chosen(*words):
    return start.chosen("weekly", parser().parse_args(["run", *words])).settings


def contents(folder):
    return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.rglob("*") if path.is_file()}


def interrupted(settings, outcome=None):
    run_dir = settings.home_path / "runs" / "x" if settings.run_dir is None else settings.run_dir
    write_json(f"{run_dir}/settings.json", json.loads(settings.model_dump_json()))
    note_run(settings.home_path, Path(run_dir), "weekly", None)
    if outcome:
        write_json(f"{run_dir}/record.json", {"outcome": outcome})
    return str(run_dir)


@pytest.fixture
def home(tmp_path):
    return ["--home", str(tmp_path / "home")]


def test_the_unfinished_run_is_continued_by_the_same_command_with_resume(home, capsys):
    command = ["--profile", "sandbox", "--set", "windows.folds=3", *home]
    run_dir = interrupted(chosen(*command))
    assert chosen(*command, "--resume").run_dir == run_dir
    assert "going on with the unfinished run" in capsys.readouterr().err
    assert chosen(*command).run_dir != run_dir  # without the flag it is a new run


def test_where_there_is_nothing_to_resume_it_starts_and_says_so(home, capsys):
    first = chosen("--profile", "sandbox", *home, "--resume")
    assert first.profile == "sandbox"
    assert "a new one is started" in capsys.readouterr().err
    run_dir = interrupted(first, "submitted")
    assert chosen("--profile", "sandbox", *home, "--resume").run_dir != run_dir


def test_a_run_of_other_settings_is_only_told_of(home, capsys):
    run_dir = interrupted(chosen("--profile", "sandbox", *home))
    other = chosen("--profile", "laptop", *home, "--resume")
    assert other.run_dir != run_dir
    assert f"--resume --run-dir {run_dir}" in capsys.readouterr().err


def test_a_named_folder_brings_its_own_settings(home, tmp_path):
    folder = str(tmp_path / "mine")
    stored = chosen("--profile", "sandbox", "--set", "windows.folds=3", "--run-dir", folder, *home)
    interrupted(stored)
    taken = chosen("--resume", "--run-dir", folder)
    assert taken == stored
    assert chosen("--resume", "--run-dir", folder, *home) == stored


@pytest.mark.parametrize("resume", [[], ["--resume"]])
def test_a_named_folder_is_gone_on_in_under_its_own_settings_and_how_it_works_may_change(resume, home, tmp_path):
    folder = str(tmp_path / "mine")
    stored = chosen("--profile", "sandbox", "--set", "windows.folds=3", "--run-dir", folder, *home)
    interrupted(stored)
    assert chosen("--run-dir", folder, *resume) == stored
    roomier = chosen("--set", "machine.memory_mb=2500", "--run-dir", folder, *resume, *home)
    assert roomier.machine.memory_mb == 2500
    assert roomier.windows == stored.windows
    assert roomier.run_dir == folder


@pytest.mark.parametrize(
    "words", [["--set", "seed=9"], ["--target", "target_b_20"], ["--dry-run"], ["--profile", "laptop"]]
)
def test_an_unfinished_run_is_not_gone_on_with_under_other_settings(words, home, tmp_path):
    folder = str(tmp_path / "mine")
    interrupted(chosen("--profile", "sandbox", "--run-dir", folder, *home))
    before = contents(tmp_path)
    with pytest.raises(OtherRunError, match=r"other settings .*leave them out"):
        chosen(*words, "--run-dir", folder, *home)
    assert contents(tmp_path) == before


@pytest.mark.parametrize("outcome", [None, "held", "ready", "submitted"])
def test_resume_under_other_settings_is_a_new_run_beside(outcome, home, tmp_path, capsys):
    folder = str(tmp_path / "mine")
    stored = chosen("--profile", "sandbox", "--set", "windows.folds=3", "--run-dir", folder, *home)
    interrupted(stored, outcome)
    words = ["--resume", "--run-dir", folder, "--set", "gate.bmc_bound=null"]
    choice = flows.command.starting.start.chosen("weekly", parser().parse_args(["run", *words]))
    assert choice.settings.run_dir == f"{folder}-2"
    assert choice.taken_from == Path(folder)
    assert choice.settings.gate.bmc_bound is None
    assert choice.settings.windows == stored.windows
    assert "stays as it is" in capsys.readouterr().err


@pytest.mark.parametrize("outcome", ["held", "ready", "submitted", "searched"])
@pytest.mark.parametrize("words", [[], ["--set", "seed=9"], ["--resume"], ["--profile", "laptop"]])
def test_a_run_that_has_ended_is_not_gone_on_with(outcome, words, home, tmp_path):
    folder = str(tmp_path / "mine")
    interrupted(chosen("--profile", "sandbox", "--run-dir", folder, *home), outcome)
    before = contents(tmp_path)
    with pytest.raises(RunConcludedError, match="has ended"):
        chosen(*words, "--run-dir", folder, *home)
    assert contents(tmp_path) == before


@pytest.mark.parametrize("verb", ["daily", "search"])
def test_another_verb_does_not_go_on_with_it(verb, home, tmp_path):
    folder = str(tmp_path / "mine")
    interrupted(chosen("--profile", "sandbox", "--run-dir", folder, *home))
    with pytest.raises(OtherRunError, match="begun by `eraflow run`"):
        flows.command.starting.start.chosen(
            {"search": "research"}.get(verb, verb), parser().parse_args([verb, "--run-dir", folder])
        )


def test_an_empty_named_folder_is_started_in(home, tmp_path, capsys):
    folder = str(tmp_path / "new")
    assert chosen("--profile", "sandbox", "--resume", "--run-dir", folder, *home).run_dir == folder
    assert "nothing to resume" in capsys.readouterr().err


def test_stored_settings_that_cannot_be_read_are_named(home, tmp_path):
    note_run(tmp_path, tmp_path / "mine", "weekly", None)
    (tmp_path / "mine" / "settings.json").write_text('{"profile": "nope"}')
    with pytest.raises(SettingsError, match=r"settings\.json cannot be read"):
        chosen("--resume", "--run-dir", str(tmp_path / "mine"))
