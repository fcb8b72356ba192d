"""A saved ensemble and its members, loaded by MLflow alone in a process that cannot import this project."""

import json
import shutil

import numpy as np
import pytest
import yaml

from models.delivery.pyfuncmodel import ENSEMBLE, write_saved_models
from models.ensembles.ensemble import Ensemble
from models.kinds import make_model
from tests.models.delivery.conftest import run_alone, trained, write_members
from tests.own_models import FOLDER

REFUSE = """
import importlib.abc, json, os, pathlib, sys
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
class Refuse(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"eraflow", "models", "tasks", "flows"}:
            raise ModuleNotFoundError(f"{name} is not here")
sys.meta_path.insert(0, Refuse())
import mlflow, numpy as np, pandas as pd
"""
"""Begins a process that cannot import this project."""

ALONE = (
    REFUSE
    + """
frame = pd.read_parquet(sys.argv[2])
for place in sorted(pathlib.Path(sys.argv[1]).rglob("MLmodel")):
    found = mlflow.pyfunc.load_model(str(place.parent)).predict(frame)
    np.save(place.parent.name + ".npy", np.asarray(found).reshape(len(frame)))
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""
)


@pytest.fixture(scope="module")
def saved(shipped, tmp_path_factory):
    """Every model of an ensemble with all kinds, and what it predicts of one live era by itself."""
    folder = tmp_path_factory.mktemp("pyfunc")
    told = write_saved_models(ensemble=str(shipped.folder / "ensemble"), out=str(folder / "saved"))
    assert told["left_out"] == {}
    frame = shipped.frame()
    frame.to_parquet(folder / "live.parquet")
    (folder / "empty").mkdir()
    said = run_alone(ALONE, folder / "empty", str(folder / "saved"), str(folder / "live.parquet"))
    return folder, frame, json.loads(said.splitlines()[-1])


def prediction(folder, name):
    return np.load(folder / "empty" / f"{name}.npy")


def test_the_ensemble_ranks_as_the_pipeline_does(shipped, saved):
    folder, frame, _ = saved
    order = np.argsort(np.argsort(shipped.expected(frame)))
    np.testing.assert_allclose(prediction(folder, ENSEMBLE), (order + 0.5) / len(frame), atol=1e-12)


def test_every_member_says_what_its_model_says(shipped, saved):
    folder, frame, _ = saved
    codes = np.ascontiguousarray(frame[list(shipped.ensemble.features)].to_numpy(np.int8))
    ensemble = shipped.ensemble
    expected = ensemble.completed(ensemble.predict_members(codes), codes, np.array([0, len(frame)]))
    for at, name in enumerate(ensemble.members):
        np.testing.assert_allclose(prediction(folder, name), expected[:, at], rtol=0, atol=1e-6, err_msg=name)


def test_neither_torch_nor_this_project_is_imported(saved):
    assert {"torch", "eraflow", "models", "flows", "transformers", "tabm"} & set(saved[2]) == set()


def test_boosters_have_the_flavour_of_their_library_and_all_have_signature_and_requirements(saved):
    folder, frame, _ = saved
    flavours = {}
    for place in sorted(found.parent for found in (folder / "saved").rglob("MLmodel")):
        told = yaml.safe_load((place / "MLmodel").read_text())
        flavours[place.name] = set(told["flavors"]) - {"python_function"}
        assert "python_function" in told["flavors"], place.name
        inputs = [each["name"] for each in json.loads(told["signature"]["inputs"])]
        assert set(inputs) - {"era"} <= set(frame.columns), place.name
        asked = (place / "requirements.txt").read_text()
        assert "numpy==" in asked, place.name
        assert "eraflow" not in asked, place.name
        assert not list(place.rglob("*.pkl")), place.name
    for library in ("lightgbm", "xgboost", "catboost"):
        assert flavours[library] == {library}
    assert flavours["few-columns"] == {"xgboost"}
    assert flavours["mlp"] == flavours["bag"] == flavours["beside"] == flavours[ENSEMBLE] == set()


def test_several_eras_and_missing_values_are_taken(shipped, saved):
    folder, _, _ = saved
    frame = shipped.frame(eras=2).astype(dict.fromkeys(shipped.ensemble.features, "float64"))
    frame.iloc[3, 2] = np.nan
    frame.to_parquet(folder / "two.parquet")
    only = folder / "only"
    only.mkdir()
    shutil.copytree(folder / "saved" / ENSEMBLE, only / ENSEMBLE)
    run_alone(ALONE, folder / "empty", str(only), str(folder / "two.parquet"))
    filled = frame.fillna(2.0)
    expected = shipped.expected(filled)
    for start in (0, 100):
        order = np.argsort(np.argsort(expected[start : start + 100]))
        found = prediction(folder, ENSEMBLE)[start : start + 100]
        np.testing.assert_allclose(found, (order + 0.5) / 100, atol=1e-12)


def test_a_model_of_a_user_s_own_class_is_left_out_and_said_so(shipped, tmp_path):
    own = make_model(f"{FOLDER}/mine.py:Ridge")
    from tests.models.planted import PLAN

    x, y = shipped.planted.x, shipped.planted.y
    own.fit(x, y, plan=PLAN, seed=1)
    place = write_members(tmp_path, {"lightgbm": trained("lightgbm", x, y), "mine": own}, shipped.planted.features)
    told = write_saved_models(ensemble=str(place), out=str(tmp_path / "saved"))
    assert (told["members"], told["ensemble"]) == (["lightgbm"], False)
    assert "mine" in told["left_out"]["mine"]
    assert Ensemble.load(place).members.keys() == {"lightgbm", "mine"}
