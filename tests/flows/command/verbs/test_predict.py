"""`eraflow predict` from the command line to the file."""

import json
import shutil

import numpy as np
import polars as pl
import pytest

from eraflow.disk.digest import file_sha256
from eraflow.machine.plan import Plan
from eraflow.scoring.insample import write_learned
from flows.command.cli import main
from flows.command.verbs import predict_apart
from models.boosters.lightgbm_model import LightGBMModel
from models.prediction.predict import predict_file
from tests.prediction_files import FEATURES, rows, write


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A single saved model and the list of its features."""
    folder = tmp_path_factory.mktemp("model")
    frame = rows(seed=3)
    learner = LightGBMModel(params={"n_estimators": 5, "min_data_in_leaf": 5})
    learner.fit(
        frame.select(FEATURES).to_numpy(order="c"), np.random.default_rng(0).random(frame.height), plan=Plan(), seed=1
    )
    learner.save(folder / "model")
    (folder / "names.json").write_text(json.dumps(FEATURES))
    return ["--ensemble", str(folder / "model"), "--features", str(folder / "names.json")]


@pytest.mark.parametrize("little", [[], ["--little-memory"]], ids=["usual", "little memory"])
def test_the_record_tells_what_was_done(model, tmp_path, capfd, monkeypatch, little):
    seen = {}
    real = predict_apart.run_isolated
    monkeypatch.setattr(predict_apart, "run_isolated", lambda *a, **k: seen.update(k) or real(*a, **k))
    frame, out = rows(), tmp_path / "new" / "out.csv"
    data = write(frame, tmp_path, "csv.gz")
    assert main(["predict", str(data), "--out", str(out), "--json", *model, *little]) == 0
    record = json.loads(capfd.readouterr().out.splitlines()[-1])
    assert record.pop("seconds") > 0
    assert record.pop("peak_mb") > 20
    assert record == {
        "file": str(out),
        "rows": frame.height,
        "eras": 6,
        "sha256": file_sha256(out),
        "ensemble": model[1],
        "resumed_from": None,
        "origin_known": False,  # a model without a note of what it learned from
        "oof_file": None,
        "in_sample": {"learned": 0, "overlapping": 0, "first_era": None, "last_era": None},
    }
    assert seen["env"] == (predict_apart.LITTLE if little else {})
    predict_file(ensemble=model[1], features=model[3], data=str(data), out=str(tmp_path / "here.csv"))
    assert file_sha256(tmp_path / "here.csv") == file_sha256(out)


def test_eras_that_the_model_learned_from_are_told_and_honest_ones_pointed_to(model, tmp_path, capfd):
    folder = tmp_path / "train-x [1]" / "model"
    shutil.copytree(model[1], folder)
    write_learned(folder, ["0001", "0002"], 1)
    (folder.parent / "oof.parquet").write_bytes(b"")
    out = tmp_path / "out #1.csv"
    arguments = ["predict", str(write(rows(), tmp_path, "csv")), "--out", str(out), "--json"]
    assert main([*arguments, "--ensemble", str(folder), *model[2:]]) == 0
    told = capfd.readouterr()
    record = json.loads(told.out.splitlines()[-1])
    assert record["in_sample"] == {"learned": 2, "overlapping": 1, "first_era": "0001", "last_era": "0003"}
    assert record["oof_file"] == str(folder.parent / "oof.parquet")
    assert "3 of 6 eras (0001 to 0003) are in-sample" in told.err
    assert record["oof_file"] in told.err
    live = write(rows().with_columns(era=pl.lit("X")), tmp_path, "parquet")
    arguments[1] = str(live)
    assert main([*arguments, "--ensemble", str(folder), *model[2:]]) == 0
    assert "warning" not in capfd.readouterr().err


def test_named_errors_come_through(model, tmp_path, capfd):
    data = write(rows(), tmp_path, "one.parquet")
    out = tmp_path / "out.parquet"
    bad = write(rows().with_columns(pl.lit(9, pl.Int8).alias(FEATURES[0])), tmp_path, "csv.xz")
    assert main(["predict", str(bad), "--out", str(out), *model]) == 1
    assert f"feature_value: {bad}: {FEATURES[0]} is 9" in capfd.readouterr().err
    assert not out.exists()
    (tmp_path / "models").mkdir()  # an ensemble that has lost its description
    assert main(["predict", str(data), "--out", str(out), "--ensemble", str(tmp_path)]) == 1
    assert "damaged_ensemble" in capfd.readouterr().err
    assert main(["predict", str(data), "--out", str(out), *model]) == 0
    assert capfd.readouterr().out.startswith(f"{rows().height} predictions of 6 eras in {out}, by ")


def test_progress_is_one_line_on_a_terminal_and_few_elsewhere(capsys, monkeypatch):
    from eraflow.machine.progress import Progress

    shown = predict_apart.ProgressLine()
    shown.show(Progress(5, 10, "rows predicted, era 0004", 60.0, 61.0))
    assert capsys.readouterr().err == ""
    shown._next = 0.0
    shown.show(Progress(5, 10, "rows predicted, era 0004", 60.0, 61.0))
    shown.end()
    assert capsys.readouterr().err == "50% rows predicted, era 0004, about 61 s left\n"


@pytest.mark.parametrize(
    ("option", "inside", "words"),
    [
        ("--ensemble", "blend", "use --run-dir {folder}"),
        ("--ensemble", "model", "name {folder}/model"),
        ("--ensemble", "ensemble", "name {folder}/ensemble"),
        ("--ensemble", "other", "name the blend/ensemble or a train-NAME/model of a run"),
        ("--run-dir", "other", "holds no blend"),
    ],
)
def test_a_folder_that_is_no_model_says_which_one_is_meant(tmp_path, capfd, option, inside, words):
    (tmp_path / inside).mkdir()
    assert main(["predict", "data.csv", "--out", str(tmp_path / "out.csv"), option, str(tmp_path)]) == 2
    assert words.format(folder=tmp_path) in capfd.readouterr().err
