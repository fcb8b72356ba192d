"""What can predict: ensembles that neutralise too, and single models with the names of their features."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from eraflow.disk.digest import file_sha256
from eraflow.errors import EraflowError, SettingsError
from eraflow.machine.isolate import run_isolated
from eraflow.scoring.ranking import EraGroups
from models.base.leanimports import lean_imports
from models.base.protocol import DamagedModelError
from models.ensembles.ensemble import Ensemble, EnsembleFeatureError, write_ensemble
from models.kinds import load_model
from models.prediction.predict import predict_file
from models.prediction.predictor import load_predictor
from tests.models.planted import PLAN, TARGET, plant

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def unseen():
    return plant(eras=4, rows=80, seed=31)


def test_a_neutralising_ensemble_is_applied_era_by_era(week, unseen, tmp_path):
    features = list(week.store.features)
    write_ensemble(
        tmp_path / "ensemble",
        {name: Path(folder) / "model" for name, folder in week.folders.items()},
        features=features,
        method="rank-gaussian",
        weights=[1 / 3] * 3,
        target=TARGET,
        horizon_days=20,
        data_version="v5.3",
        neutralise={"proportion": 0.5, "features": features[2:7]},
    )
    unseen.frame().write_parquet(tmp_path / "data.parquet")
    groups = EraGroups.from_sizes([80] * 4)
    expected = Ensemble.load(tmp_path / "ensemble").predict(unseen.x, groups, plan=PLAN)
    for rows in (33, 10_000):
        plan = {**PLAN.as_dict(), "rows_in_memory": rows}
        arguments = {"ensemble": str(tmp_path / "ensemble"), "data": str(tmp_path / "data.parquet")}
        predict_file(**arguments, out=str(tmp_path / "out.parquet"), plan=plan)
        np.testing.assert_array_equal(pl.read_parquet(tmp_path / "out.parquet")["prediction"], expected)
    plain = Ensemble.load(week.ensemble).predict(unseen.x, groups, plan=PLAN)
    assert not np.array_equal(plain, expected)


@pytest.mark.parametrize("name", ["lightgbm", "xgboost", "catboost"])
def test_a_single_model_gives_its_raw_predictions(week, unseen, tmp_path, name):
    frame = unseen.frame()
    frame.select(sorted(frame.columns, reverse=True)).write_csv(tmp_path / "data.csv")
    expected = load_model(Path(week.folders[name]) / "model").predict(unseen.x, plan=PLAN)
    folder = week.ensemble / "models" / name  # the ensemble tells the features
    done = predict_file(ensemble=str(folder), data=str(tmp_path / "data.csv"), out=str(tmp_path / "out.parquet"))
    np.testing.assert_array_equal(pl.read_parquet(tmp_path / "out.parquet")["prediction"], expected)
    assert done["members"] == [name]


@pytest.mark.parametrize("name", ["endless", "large.json", "deep.json", "folder"])
def test_a_list_of_features_that_has_no_end_is_refused_at_once(week, tmp_path, name):
    model = shutil.copytree(Path(week.folders["xgboost"]) / "model", tmp_path / "alone" / "model")
    os.mkfifo(tmp_path / "endless")
    (tmp_path / "folder").mkdir()
    (tmp_path / "deep.json").write_text("[" * 200_000)
    with (tmp_path / "large.json").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(EraflowError, match=name):
        load_predictor(model, tmp_path / name)
    with pytest.raises(EraflowError, match="no regular file"):
        load_predictor(model, Path("/dev/zero"))


def test_the_features_of_a_single_model_come_from_its_run_or_from_a_list(week, tmp_path):
    model = shutil.copytree(Path(week.folders["xgboost"]) / "model", tmp_path / "run" / "train-xgboost" / "model")
    with pytest.raises(SettingsError, match="--features"):
        load_predictor(model)
    store = tmp_path / "run" / "features" / "store"
    store.mkdir(parents=True)
    shutil.copy(week.store.path / "layout.json", store)
    found = load_predictor(model)
    assert found.features == week.store.features
    (tmp_path / "names.json").write_text(json.dumps(list(week.store.features)))
    assert load_predictor(model, tmp_path / "names.json").signature == found.signature
    with pytest.raises(EnsembleFeatureError, match="feature_00"):
        found.check_features(["feature_01"])
    for wrong, error in (('["a"]', DamagedModelError), ("{}", SettingsError), ("[", SettingsError)):
        (tmp_path / "wrong.json").write_text(wrong)
        with pytest.raises(error):
            load_predictor(model, tmp_path / "wrong.json")


def test_the_child_of_a_stage_predicts_the_same_without_what_it_does_not_need(week, unseen, tmp_path):
    unseen.frame().write_parquet(tmp_path / "data.parquet")
    work = {"ensemble": str(week.ensemble), "data": str(tmp_path / "data.parquet"), "plan": PLAN.as_dict()}
    predict_file(**work, out=str(tmp_path / "here.parquet"))
    run_isolated(
        "models.prediction.predict:predict_file",
        {**work, "out": str(tmp_path / "there.parquet")},
        memory_mb=None,
        timeout_s=100,
        log=print,
        folder=tmp_path / "stage",
    )
    assert file_sha256(tmp_path / "there.parquet") == file_sha256(tmp_path / "here.parquet")


def test_a_lean_lightgbm_leaves_the_large_libraries_out_and_loadable(week):
    code = (
        "import sys; from models.prediction.predictor import load_predictor\n"
        "from models.base.leanimports import lean_imports\n"
        "with lean_imports():\n"
        f"    load_predictor({str(week.ensemble / 'models' / 'lightgbm')!r})\n"
        "print({'pandas', 'sklearn', 'matplotlib', 'mlflow', 'prefect'} & set(sys.modules))\n"
        "import pandas"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "set()"


def test_what_is_loaded_already_stays():
    with lean_imports(("json", "no_such_module")):
        import json as again

        assert again is json
        assert sys.modules["no_such_module"] is None
    assert "no_such_module" not in sys.modules
