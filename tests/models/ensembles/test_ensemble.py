import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from eraflow.data.footer import BadFeatureValueError, MissingColumnError, TruncatedFileError
from eraflow.data.readable import MissingFileError
from eraflow.disk.digest import file_sha256
from eraflow.errors import SettingsError
from eraflow.scoring.ranking import EraGroups
from models.base.predictions import Predictions, read_out_of_fold
from models.ensembles.blend import blend_members
from models.ensembles.blends import UnknownBlendError
from models.ensembles.ensemble import DamagedEnsembleError, Ensemble, EnsembleFeatureError, read_ensemble
from models.ensembles.membercolumns import MembersDifferError
from models.ensembles.rankblend import rank_gaussian_blend
from models.kinds import load_model
from models.prediction.job import PredictJob
from models.prediction.predict import predict_file, predict_live
from tests.models.conftest import blending
from tests.models.planted import PLAN, TARGET, plant

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def live():
    """One unseen era "X", its features in another order among other columns."""
    frame = plant(eras=1, rows=150, seed=21).frame().with_columns(pl.lit("X").alias("era")).drop(TARGET)
    return frame.select(sorted(frame.columns, reverse=True))


def predict(week, frame, folder, **plan):
    frame.write_parquet(folder / "live.parquet")
    metrics = predict_file(
        ensemble=str(week.ensemble),
        data=str(folder / "live.parquet"),
        out=str(folder / "out.parquet"),
        plan={**PLAN.as_dict(), **plan},
    )
    return pl.read_parquet(folder / "out.parquet"), metrics


# The blend stage.


def test_the_blend_is_that_of_the_members_on_their_rows(week):
    members = [read_out_of_fold(Path(folder) / "oof.parquet") for folder in week.folders.values()]
    blend = read_out_of_fold(week.blend / "oof.parquet")
    assert blend.eras == members[0].eras
    np.testing.assert_array_equal(blend.ids, members[0].ids)
    expected = rank_gaussian_blend(np.stack([each.values for each in members], axis=1), members[0].groups)
    np.testing.assert_array_equal(blend.values, expected)


def test_the_description_says_all_that_is_needed(week):
    described = read_ensemble(week.ensemble)
    assert [each["name"] for each in described["members"]] == ["lightgbm", "xgboost", "catboost"]
    assert sum(each["weight"] for each in described["members"]) == pytest.approx(1)
    assert described["features"] == list(week.store.features)
    assert (described["target"], described["horizon_days"], described["data_version"]) == (TARGET, 20, "v5.3")
    assert {"lightgbm", "xgboost", "catboost", "numpy", "python"} <= described["versions"].keys()
    assert described["signature"] == week.blend_metrics["ensemble_signature"]


def test_the_signature_is_stable_and_tells_ensembles_apart(week, tmp_path):
    def signature(name, folders, **over):
        return blend_members(**blending(week.store, tmp_path / name, folders, **over))["ensemble_signature"]

    original = week.blend_metrics["ensemble_signature"]
    assert signature("again", week.folders) == original
    fewer = dict(list(week.folders.items())[:2])
    others = [signature("fewer", fewer), signature("version", week.folders, data_version="v5.4")]
    assert len({original, *others}) == 3


def test_members_on_other_rows_are_refused(week, tmp_path):
    other = shutil.copytree(week.folders["xgboost"], tmp_path / "xgboost")
    oof = read_out_of_fold(other / "oof.parquet")
    folders = {**week.folders, "xgboost": str(other)}
    last = int(oof.groups.offsets[-2])
    shorter = Predictions(oof.ids[:last], oof.eras[:-1], EraGroups(oof.groups.offsets[:-1]), oof.values[:last])
    renamed = Predictions(np.roll(oof.ids, 1), oof.eras, oof.groups, oof.values)
    for wrong in (shorter, renamed):
        wrong.write(other / "oof.parquet")
        with pytest.raises(MembersDifferError, match="xgboost"):
            blend_members(**blending(week.store, tmp_path / "blend", folders))
    assert not (tmp_path / "blend" / "ensemble").exists()


def test_an_unknown_method_or_no_members_is_refused(week, tmp_path):
    with pytest.raises(UnknownBlendError, match=r"'stacking'; it knows .*rank-gaussian"):
        blend_members(**blending(week.store, tmp_path, week.folders, method="stacking"))
    with pytest.raises(SettingsError):
        blend_members(**blending(week.store, tmp_path, {}))


# Predicting.


def test_live_predictions_are_the_blend_of_the_final_models(week, live, tmp_path):
    frame, metrics = predict(week, live, tmp_path)
    x = live.select(week.store.features).to_numpy().astype(np.int8)
    columns = [load_model(Path(folder) / "model").predict(x) for folder in week.folders.values()]
    expected = rank_gaussian_blend(np.stack(columns, axis=1), EraGroups.from_sizes([len(x)]))
    np.testing.assert_array_equal(frame["prediction"].to_numpy(), expected)
    assert frame["id"].to_list() == live["id"].to_list()
    assert frame["era"].unique().to_list() == ["X"]
    assert metrics["ensemble_signature"] == week.blend_metrics["ensemble_signature"]
    truth = plant(eras=1, rows=150, seed=21).y
    assert np.corrcoef(frame["prediction"].to_numpy(), truth)[0, 1] > 0.3


def test_tiles_and_eras_do_not_change_a_prediction(week, tmp_path):
    many = plant(eras=5, rows=90, seed=22).frame()
    whole, _ = predict(week, many, tmp_path)
    tiled, _ = predict(week, many, tmp_path, rows_in_memory=37)
    assert whole.equals(tiled)
    parts = [predict(week, many.filter(pl.col("era") == era), tmp_path)[0] for era in many["era"].unique().sort()]
    assert pl.concat(parts).equals(whole)
    expected = Ensemble.load(week.ensemble).predict(
        many.select(week.store.features).to_numpy().astype(np.int8), EraGroups.from_sizes([90] * 5), plan=PLAN
    )
    np.testing.assert_array_equal(whole["prediction"].to_numpy(), expected)


def test_a_missing_value_is_the_code_two(week, live, tmp_path):
    name = week.store.features[0]
    rows = pl.int_range(pl.len()) < 40
    with_nan = live.with_columns(pl.when(rows).then(float("nan")).otherwise(pl.col(name).cast(pl.Float32)).alias(name))
    with_two = live.with_columns(pl.when(rows).then(2).otherwise(pl.col(name)).cast(pl.Int8).alias(name))
    with_null = live.with_columns(pl.when(rows).then(None).otherwise(pl.col(name)).alias(name))
    first, second, third = (predict(week, frame, tmp_path)[0] for frame in (with_nan, with_two, with_null))
    assert first.equals(second)
    assert third.equals(second)


def test_an_id_index_is_as_good_as_an_id_column(week, live, tmp_path):
    as_column, _ = predict(week, live, tmp_path)
    live.to_pandas().set_index("id").to_parquet(tmp_path / "indexed.parquet")
    predict_file(ensemble=str(week.ensemble), data=str(tmp_path / "indexed.parquet"), out=str(tmp_path / "o.parquet"))
    assert pl.read_parquet(tmp_path / "o.parquet").equals(as_column)


def test_no_rows_give_an_empty_file_with_the_columns(week, live, tmp_path):
    frame, metrics = predict(week, live.head(0), tmp_path)
    assert frame.shape == (0, 3)
    assert frame.schema == {"id": pl.String, "era": pl.String, "prediction": pl.Float64}
    assert metrics["rows"] == 0


@pytest.mark.parametrize(
    ("damage", "error"),
    [
        (lambda frame: frame.with_columns(pl.lit(7, pl.Int8).alias("feature_03")), BadFeatureValueError),
        (lambda frame: frame.with_columns(pl.lit(-1, pl.Int8).alias("feature_03")), BadFeatureValueError),
        (lambda frame: frame.with_columns(pl.lit(1.5).alias("feature_03")), BadFeatureValueError),
        (lambda frame: frame.rename({"feature_03": "feature_3"}), EnsembleFeatureError),
        (lambda frame: frame.drop("era"), MissingColumnError),
        (lambda frame: frame.drop("id"), MissingColumnError),
    ],
    ids=["seven", "minus one", "a fraction", "renamed", "no era", "no id"],
)
def test_bad_data_ends_in_a_named_error_and_no_file(week, live, tmp_path, damage, error):
    with pytest.raises(error):
        predict(week, damage(live), tmp_path)
    assert not (tmp_path / "out.parquet").exists()


def test_a_missing_or_truncated_file_is_named(week, live, tmp_path):
    arguments = {"ensemble": str(week.ensemble), "out": str(tmp_path / "out.parquet")}
    with pytest.raises(MissingFileError):
        predict_file(data=str(tmp_path / "none.parquet"), **arguments)
    live.write_parquet(tmp_path / "live.parquet")
    content = (tmp_path / "live.parquet").read_bytes()
    (tmp_path / "live.parquet").write_bytes(content[: len(content) // 2])
    with pytest.raises(TruncatedFileError):
        predict_file(data=str(tmp_path / "live.parquet"), **arguments)


@pytest.mark.parametrize("damage", ["model", "description", "gone", "extra weight"])
def test_a_damaged_ensemble_is_refused(week, tmp_path, damage):
    folder = shutil.copytree(week.ensemble, tmp_path / "ensemble")
    if damage == "model":
        path = folder / "models" / "lightgbm" / "model.txt"
        path.write_text(path.read_text().replace("leaf_value=", "leaf_value=0", 1))
    elif damage == "description":
        (folder / "ensemble.json").write_text("{}")
    elif damage == "gone":
        shutil.rmtree(folder / "models" / "xgboost")
    else:
        described = json.loads((folder / "ensemble.json").read_text())
        described["members"][0]["weight"] = 0.9
        (folder / "ensemble.json").write_text(json.dumps(described))
    with pytest.raises(DamagedEnsembleError):
        Ensemble.load(folder)


def test_a_fresh_process_predicts_the_same_bytes(week, live, tmp_path):
    live.write_parquet(tmp_path / "live.parquet")
    predict_live(PredictJob(week.ensemble, tmp_path / "live.parquet"), tmp_path)
    command = [sys.executable, "-m", "models.prediction.predict", str(week.ensemble), str(tmp_path / "live.parquet")]
    subprocess.run([*command, str(tmp_path / "second.parquet")], cwd=ROOT, check=True, capture_output=True)
    assert file_sha256(tmp_path / "second.parquet") == file_sha256(tmp_path / "predictions.parquet")


def test_the_command_names_what_is_wrong(week, tmp_path, capsys):
    from models.prediction.predict import main

    assert main([str(week.ensemble), str(tmp_path / "none.parquet"), str(tmp_path / "out.parquet")]) == 1
    assert "missing_file" in capsys.readouterr().err
