"""The command, as a user types it."""

import json
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from flows.command.cli import main, parser
from tests.weeks import TINY

ROOT = Path(__file__).parents[3]


def eraflow(*arguments, timeout=280):
    command = [sys.executable, "-m", "flows.command.entry", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=timeout, check=False)


def assignments(values, prefix=""):
    """Nested settings as --set key=value."""
    for key, value in values.items():
        if isinstance(value, dict):
            yield from assignments(value, f"{prefix}{key}.")
        elif key != "profile":
            yield "--set"
            yield f"{prefix}{key}={json.dumps(value)}"


@pytest.fixture(scope="module")
def week(tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    tiny = {**TINY, "tracking": {"enabled": True}}
    done = eraflow(
        "run", "--profile", "sandbox", "--home", home, "--run-dir", home / "run", "--json", *assignments(tiny)
    )
    return home, done


@pytest.mark.slow
def test_run_prints_one_record_as_its_last_line(week):
    home, done = week
    assert done.returncode == 0, done.stderr[-3000:]
    record = json.loads(done.stdout.splitlines()[-1])
    assert record["outcome"] == "submitted"
    assert record["run_dir"] == str(home / "run")
    assert record["verdict"]["passed"]
    assert record["submission"]["state"]["id"]
    assert {"low", "high", "mean", "eras"} <= set(record["scores"]["blend"]["corr"])
    assert record["stages"]["train-lightgbm"]["seconds"] > 0
    assert "SANDBOXSECRETKEY" not in done.stdout + done.stderr


@pytest.mark.slow
def test_a_blocked_gate_is_exit_code_three_and_the_record_says_so(week):
    home, _ = week
    tiny = {**TINY, "gate": {**TINY["gate"], "corr_bound": 0.9}}
    done = eraflow(
        "run", "--profile", "sandbox", "--home", home, "--run-dir", home / "blocked", "--json", *assignments(tiny)
    )
    record = json.loads(done.stdout.splitlines()[-1])
    assert done.returncode == 3
    assert record["outcome"] == "held"
    assert record["submission"]["state"] is None  # predicted and kept, not sent
    assert not record["submission"]["sending"]
    assert record["error"] is None


@pytest.mark.slow
def test_predict_gives_the_bytes_that_were_submitted(week, tmp_path):
    home, done = week
    sent = json.loads(done.stdout.splitlines()[-1])["submission"]["file"]["sha256"]
    live = next(home.glob("data/*/v5.3/round-*/live.parquet"))
    for name, source in {"run": ["--run-dir", home / "run"], "champion": ["--home", home]}.items():
        told = eraflow("predict", live, "--out", tmp_path / f"{name}.csv", "--json", *source)
        assert told.returncode == 0, told.stderr
        assert json.loads(told.stdout.splitlines()[-1])["sha256"] == sent


@pytest.mark.slow
def test_predict_on_an_empty_live_file_gives_the_header_only(week, tmp_path):
    home, _ = week
    live = next(home.glob("data/*/v5.3/round-*/live.parquet"))
    pl.read_parquet(live).clear().write_parquet(tmp_path / "live.parquet")
    told = eraflow("predict", "--data", tmp_path, "--out", tmp_path / "out.csv", "--run-dir", home / "run")
    assert told.returncode == 0, told.stderr
    assert (tmp_path / "out.csv").read_bytes() == b"id,prediction\n"


def test_named_errors_are_one_line_and_with_json_also_a_record(capsys, tmp_path):
    code = main(["run", "--set", "windows.fold=3", "--json", "--home", str(tmp_path)])
    told = capsys.readouterr()
    assert code == 2
    assert told.err.startswith("eraflow: settings: windows.fold")
    assert json.loads(told.out.splitlines()[-1])["error"]["code"] == "settings"


def test_predict_needs_exactly_one_file(capsys):
    assert main(["predict"]) == 2
    assert "settings: predict needs one file" in capsys.readouterr().err


def test_score_names_a_missing_folder(capsys, tmp_path):
    (tmp_path / "p.csv").write_text("id,prediction\na,0.5\n")
    assert main(["score", str(tmp_path / "p.csv"), "--data", str(tmp_path), "--target", "target_x_20"]) == 1
    assert "features.json" in capsys.readouterr().err


@pytest.mark.parametrize("verb", [["run"], ["daily"], ["predict"], ["score"], ["sandbox", "serve"], ["doctor"], ["ui"]])
def test_every_verb_explains_itself(verb, capsys):
    with pytest.raises(SystemExit) as ended:
        parser().parse_args([*verb, "--help"])
    assert ended.value.code == 0
    assert len(capsys.readouterr().out) > 200


def test_doctor_finds_this_machine_fit(capsys, tmp_path):
    assert main(["doctor", "--home", str(tmp_path / "home"), "--json"]) == 0
    checks = {check["name"]: check for check in json.loads(capsys.readouterr().out)["checks"]}
    assert checks["prefect"]["state"] == "ok"
    assert checks["cores"]["found"].isdigit()


def test_doctor_names_a_home_that_cannot_be_written(capsys, tmp_path):
    (tmp_path / "file").write_text("")
    assert main(["doctor", "--home", str(tmp_path / "file" / "home")]) == 1
    assert "not a folder" in capsys.readouterr().out


@pytest.mark.parametrize("option", ["--after", "--max-age-days", "--wait"])
@pytest.mark.parametrize("number", ["nan", "inf", "-1", "1e999"])
def test_no_option_takes_a_number_that_is_not_finite(option, number, capsys):
    with pytest.raises(SystemExit) as ended:
        parser().parse_args(["resume", f"{option}={number}"])
    assert ended.value.code == 2
    assert "finite" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["thesis.csv", "pictures.parquet"])
def test_predict_does_not_replace_a_file_that_holds_no_predictions(name, tmp_path, capsys):
    (tmp_path / name).write_text("chapter,one\n")
    assert main(["predict", "live.parquet", "--out", str(tmp_path / name), "--home", str(tmp_path / "home")]) == 2
    assert "holds no predictions" in capsys.readouterr().err
    assert (tmp_path / name).read_text() == "chapter,one\n"
