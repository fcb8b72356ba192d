"""`eraflow clean` as a user types it: it says, it asks, it removes; and it removes nothing that it cannot judge."""

import json
import os
import time

import pytest

from eraflow.disk.ownership import mark_home
from eraflow.settings.run import RunSettings
from eraflow.tracking.mlflowlink import TrackingError
from flows.command.cli import main
from flows.command.verbs.clean import days_of, gigabytes_of
from tasks import clean
from tasks.clean import clean_after_week


@pytest.fixture
def home(tmp_path):
    """A home with an old run, the newest one, binned data and a download."""
    place = tmp_path / "home"
    for name, days in (("old", 400), ("newest", 1)):
        folder = place / "runs" / name
        folder.mkdir(parents=True)
        (folder / "run.json").write_text(json.dumps({"flow": "weekly", "flow_runs": [], "started": 0}))
        (folder / "record.json").write_text('{"outcome": "submitted"}')
        (folder / "model.bin").write_bytes(bytes(300_000))
        age(folder, days)
    for name in ("cache/bins", "data/numerai/v5.3"):
        (place / name).mkdir(parents=True)
    (place / "cache/bins/abc.bins").write_bytes(bytes(200_000))
    (place / "cache/bins/abc.json").write_text("{}")
    (place / "data/numerai/v5.3/train.parquet").write_bytes(bytes(100_000))
    for folder in ("cache/bins", "data/numerai/v5.3"):
        age(place / folder, 30)
    mark_home(place)
    return place


def age(folder, days):
    for path in [*folder.rglob("*"), folder]:
        os.utime(path, (time.time() - days * 86_400,) * 2)


def record_of(capsys):
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def test_it_says_what_would_go_and_removes_it_only_when_told(home, capsys):
    assert main(["clean", "--home", str(home), "--dry-run"]) == 0
    said = capsys.readouterr().out
    for part in ("runs/old", "cache/bins/abc.bins", "data/numerai/v5.3", "which frees", "runs/newest: the newest"):
        assert part in said
    assert max(len(line) for line in said.splitlines() if str(home) not in line) <= 80
    assert (home / "runs" / "old").exists()
    assert main(["clean", "--home", str(home), "--yes", "--json"]) == 0
    record = record_of(capsys)
    assert record["outcome"] == "cleaned"
    assert record["removed"] == 3
    assert 600_000 <= record["freed_bytes"] == record["planned_bytes"] < 700_000
    assert [path.name for path in (home / "runs").iterdir()] == ["newest"]
    assert main(["clean", "--home", str(home), "--yes"]) == 0
    assert "Nothing in it is old enough" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "gone"),
    [
        (["--older-than", "500d"], 0),
        (["--older-than", "20d"], 3),
        (["--older-than", "500d", "--max-size", "700MB"], 0),
        (["--older-than", "60w", "--max-size", "0.7MB"], 2),
    ],
)
def test_ages_and_sizes_decide(home, capsys, options, gone):
    assert main(["clean", "--home", str(home), *options, "--dry-run", "--json"]) == 0
    assert len(record_of(capsys)["planned"]) == gone


@pytest.mark.parametrize("text", ["", "not JSON", "[" * 100_000, "[]", '{"tracking": 3}'])
def test_a_run_whose_settings_cannot_be_read_may_have_its_models_anywhere(home, capsys, text):
    (home / "runs" / "old" / "settings.json").write_text(text)
    assert main(["clean", "--home", str(home), "--yes"]) == 1
    assert "nobody knows which models point to runs" in " ".join(capsys.readouterr().err.split())
    assert (home / "runs" / "old" / "model.bin").exists()


def test_nobody_there_to_be_asked_removes_nothing(home, capsys):
    assert main(["clean", "--home", str(home)]) == 2
    assert "--yes" in capsys.readouterr().err
    assert (home / "runs" / "old").exists()


@pytest.mark.parametrize(("answer", "left"), [("y", False), ("", True), ("no", True)])
def test_who_is_there_is_asked(home, monkeypatch, answer, left):
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda prompt: answer)
    assert main(["clean", "--home", str(home)]) == 0
    assert (home / "runs" / "old").exists() == left


@pytest.mark.parametrize("text", ["", "30", "d", "-3d", "nand", "1e9d", "30 years", "٣d", "9" * 400 + "d"])
def test_an_age_that_cannot_be_read_is_named(text):
    with pytest.raises(Exception, match=r"--older-than .* cannot be read"):
        days_of(text)


def test_ages_and_sizes_are_read():
    assert [days_of(text) for text in ("30d", "12h", "2w", "1.5D")] == [30, 0.5, 14, 1.5]
    assert [gigabytes_of(text) for text in ("20GB", "500mb", "1 TB", None)] == [20, 0.5, 1000, None]


def test_a_folder_that_is_no_home_is_refused(tmp_path, capsys):
    (tmp_path / "runs").mkdir()
    for place in (tmp_path, tmp_path / "absent"):
        assert main(["clean", "--home", str(place), "--yes"]) == 2
        assert "no home folder" in capsys.readouterr().err


def test_what_a_registered_model_or_a_search_points_to_stays(home, capsys, monkeypatch):
    """What the registry says of a real week: tests/flows/test_weekly.py."""
    monkeypatch.setattr(clean, "_registered", lambda tracker: ["old"])
    (home / "mlflow.db").touch()
    main(["clean", "--home", str(home), "--older-than", "1d", "--dry-run", "--json"])
    record = record_of(capsys)
    assert record["kept"][str(home / "runs" / "old")].startswith("a registered model")
    assert all("runs" not in each["path"] for each in record["planned"])
    (home / "mlflow.db").unlink()
    (home / "search" / "best" / "key").mkdir(parents=True)
    (home / "search" / "best" / "key" / "lightgbm.json").write_text(json.dumps({"run": "/moved/runs/old/search"}))
    main(["clean", "--home", str(home), "--older-than", "1d", "--dry-run", "--json"])
    assert str(home / "runs" / "old") in record_of(capsys)["kept"]


def test_nothing_is_removed_while_the_registry_cannot_be_read(home, capsys):
    (home / "mlflow.db").write_bytes(b"no database" * 1000)
    assert main(["clean", "--home", str(home), "--yes"]) == 1
    assert "tracking" in capsys.readouterr().err
    assert (home / "runs" / "old").exists()


class Lines:
    """A logger that keeps its lines."""

    def __init__(self):
        self.lines = []

    def info(self, text, *values):
        self.lines.append(text % values)

    warning = info


def test_after_a_week_the_settings_decide_and_nothing_can_cost_the_week(home, monkeypatch):
    log = Lines()
    clean_after_week(RunSettings(home=str(home), clean={"after_week": False}), log)
    clean_after_week(RunSettings(home=str(home), clean={"keep_days": 500, "bulk_days": 500}), log)
    assert (log.lines, (home / "runs" / "old").exists()) == ([], True)
    monkeypatch.setattr(clean, "_registered", lambda tracker: (_ for _ in ()).throw(TrackingError("broken", "mend it")))
    (home / "mlflow.db").touch()
    clean_after_week(RunSettings(home=str(home)), log)
    assert "not cleaned" in log.lines[-1]
    (home / "mlflow.db").unlink()
    clean_after_week(RunSettings(home=str(home)), log)
    assert "3 things" in log.lines[-1]
    assert not (home / "runs" / "old").exists()
