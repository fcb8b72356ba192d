"""Two runs compared file by file: what differs is named, from where on, and with what may be why."""

import json
from pathlib import Path

import pytest

from eraflow.disk.atomic import write_json
from eraflow.machine.ledger import Ledger
from eraflow.machine.plan import Plan
from eraflow.runs import stage
from eraflow.runs.comparison import compare_folders
from eraflow.runs.identity import note_data, note_origin
from tests.weeks import tiny

STAGES = {
    "features": {"store/matrix.npy": b"codes"},
    "train-lightgbm": {"fold-0.parquet": b"fold", "oof.parquet": b"oof", "model/model.txt": b"trees"},
    "blend": {"oof.parquet": b"blend", "ensemble/ensemble.json": b"{}", "without.json": b"not compared"},
    "predict-live": {"predictions.parquet": b"live"},
}


def made(folder: Path, home: Path, changed: dict[str, bytes] | None = None) -> Path:
    folder.mkdir()
    note_origin(folder, ["eraflow", "run"])
    (folder / "settings.json").write_text(tiny(home).model_dump_json())
    note_data(folder, {"train.parquet": {"path": "/d/train.parquet", "sha256": "a" * 64, "bytes": 3}})
    for name, files in STAGES.items():
        stage.begin(folder / name, "s")
        for file, content in files.items():
            (folder / name / file).parent.mkdir(parents=True, exist_ok=True)
            (folder / name / file).write_bytes((changed or {}).get(f"{name}/{file}", content))
        if name.startswith("train-"):
            ledger = Ledger(folder / name / stage.LEDGER)
            ledger.finish(ledger.start(Plan(threads=1)), "ok")
        metrics = {"ensemble_signature": "e"} if name == "blend" else {}
        stage.finish(folder / name, name, "s", metrics=metrics, seconds=1, peak_mb=1, attempts=1, provenance={})
    csv = (changed or {}).get("csv", b"1").decode()
    write_json(folder / "submission" / "record.json", {"ensemble_signature": "e", "file": {"sha256": csv * 64}})
    return folder


@pytest.fixture
def original(tmp_path):
    return made(tmp_path / "one", tmp_path / "home")


def test_the_same_bytes_are_identical_and_nothing_is_a_cause(original, tmp_path):
    found = compare_folders(original, made(tmp_path / "two", tmp_path / "elsewhere"))
    assert found.identical
    assert found.first is None
    assert [one.name for one in found.artefacts] == [
        *("features", "folds", "out of fold", "weights", "blend out of fold", "ensemble", "prediction", "submission")
    ]
    assert [cause for cause in found.causes if "no commit holds" not in cause] == []  # the code may be changed here


@pytest.mark.parametrize(
    ("file", "artefact"),
    [
        ("features/store/matrix.npy", "features"),
        ("train-lightgbm/fold-0.parquet", "folds"),
        ("train-lightgbm/model/model.txt", "weights"),
        ("predict-live/predictions.parquet", "prediction"),
    ],
)
def test_a_single_byte_is_found_and_named(original, tmp_path, file, artefact):
    found = compare_folders(original, made(tmp_path / "two", tmp_path, {file: b"other"}))
    assert not found.identical
    assert (found.first.name, found.first.differing) == (artefact, (file,))


def test_other_rows_of_the_csv_are_found(original, tmp_path):
    assert compare_folders(original, made(tmp_path / "two", tmp_path, {"csv": b"2"})).first.name == "submission"


def test_a_run_that_lacks_a_stage_is_not_the_same(original, tmp_path):
    other = made(tmp_path / "two", tmp_path)
    (other / "train-lightgbm" / "manifest.json").unlink()
    assert compare_folders(original, other).first.state == "not there"


def test_every_cause_is_named(original, tmp_path):
    other = made(tmp_path / "two", tmp_path)
    origin = json.loads((other / "origin.json").read_text())
    libraries = {**origin["libraries"], "numpy": "0.1"}
    changed = {"git_commit": "c" * 40, "git_dirty": True, "libraries": libraries, "cpu": "another", "python": "3.99"}
    write_json(other / "origin.json", {**origin, **changed})
    note_data(other, {"train.parquet": {"path": "/d/train.parquet", "sha256": "b" * 64, "bytes": 3}})
    (other / "settings.json").write_text(tiny(tmp_path, seed=8).model_dump_json())
    ledger = Ledger(other / "train-lightgbm" / stage.LEDGER)
    ledger.finish(ledger.start(Plan(threads=1, rate_factor=0.3)), "ok")
    told = "\n".join(compare_folders(original, other).causes)
    for words in (
        "data differ: train.parquet",
        "settings differ: seed",
        "commit",
        "no commit holds",
        "numpy",
        "processor",
    ):
        assert words in told
    assert "rate_factor 1.0, now 0.3" in told
    assert "Python" in told
