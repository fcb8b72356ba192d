"""Members on a code: trained on their window's own, saved with the encoder, blended and shipped like any other."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from eraflow.disk.digest import file_sha256
from eraflow.machine.job import decided
from eraflow.scoring.metrics import era_corr
from models.base.predictions import read_out_of_fold
from models.base.protocol import DamagedModelError, TrainingDataError
from models.compression.codedmodel import ENCODER, INNER
from models.compression.codedstore import codes_file
from models.ensembles.blend import blend_members
from models.ensembles.ensemble import Ensemble
from models.kinds import load_model, make_model
from models.prediction.predict import predict_file
from models.prediction.predictor import kinds_in, load_predictor
from models.training.importance import read_importance
from models.training.job import ImportanceSample, KeptBins
from models.training.train import train_model
from tests.models.compression.factors import code_of
from tests.models.conftest import blending, member, training
from tests.models.planted import FAST, PLAN, TARGET

pytest.importorskip("torch")


def trained(coded, out, kind, use, *, bins=None, importance=None, params=None, **over):
    """A member on a code; gives what its stage tells."""
    model = {**member(kind), **({} if params is None else {"params": params})}
    given = training(coded.store, out, model, bins=bins, importance=importance, **over)
    given["job"] = replace(given["job"], code=None if use is None else code_of(coded.job, coded.folder, use))
    return train_model(**given)


@pytest.fixture(scope="module")
def members(coded, tmp_path_factory):
    """Folders of two members on each use of the code."""
    folder = tmp_path_factory.mktemp("members")
    names = [(kind, use) for kind in ("lightgbm", "mlp") for use in ("beside", "instead")]
    for kind, use in names:
        metrics = trained(coded, folder / f"{kind}-{use}", kind, use)
        assert metrics["features"] == [17 if use == "beside" else 5] * 3
    return {f"{kind}-{use}": folder / f"{kind}-{use}" for kind, use in names}


def test_each_finds_what_the_factors_tell_out_of_fold(coded, members):
    for folder in members.values():
        oof = read_out_of_fold(folder / "oof.parquet")
        assert oof.eras == coded.store.eras[30:]
        assert era_corr(oof.values, coded.store.column(TARGET, oof.eras), oof.groups).mean() > 0.2
        assert not (folder / "window").exists()


def test_a_fold_learns_from_the_code_of_its_window(coded, members, tmp_path):
    """The fold's predictions are those of a plain fit on the window's file, and another window's file gives others."""
    window, codes = coded.job.windows[0], np.load(codes_file(coded.folder, "0"))
    rows = coded.store.rows(window.train)
    y = coded.store.column(TARGET, window.train).astype(np.float32)
    from models.base.seeds import derived_seed

    model = make_model("lightgbm", FAST)
    model.fit(codes[rows], y, plan=PLAN, seed=derived_seed(7, int(window.test[0])))
    expected = model.predict(codes[coded.store.rows(window.test)])
    found = read_out_of_fold(members["lightgbm-instead"] / "fold-0.parquet").values
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("name", ["lightgbm-beside", "lightgbm-instead", "mlp-beside", "mlp-instead"])
def test_what_is_saved_predicts_from_the_features_alone(coded, members, name):
    """The same as its inner model makes of the codes of the file, whatever the tile."""
    x = coded.store.matrix()
    codes = np.load(codes_file(coded.folder, "live"))
    seen = codes if name.endswith("instead") else np.hstack([x, codes])
    whole = load_model(members[name] / "model")
    expected = load_model(members[name] / "model" / INNER).predict(seen)
    np.testing.assert_array_equal(whole.predict(x), expected)
    np.testing.assert_array_equal(whole.predict(x[7:300], plan=replace(PLAN, threads=2)), expected[7:300])
    assert kinds_in(members[name] / "model") == {name.split("-")[0]}
    with pytest.raises(TrainingDataError):
        whole.fit(x, expected, plan=PLAN, seed=1)
    with pytest.raises(DamagedModelError):
        whole.predict(x[:, :5])


def test_the_ensemble_carries_the_encoders_and_predicts_without_torch(coded, members, tmp_path):
    blend_members(**blending(coded.store, tmp_path / "blend", {name: str(each) for name, each in members.items()}))
    ensemble = tmp_path / "blend" / "ensemble"
    shutil.copytree(ensemble, tmp_path / "elsewhere")  # as a champion is, away from the run
    data = tmp_path / "live.parquet"
    coded.planted.frame().filter(pl.col("era") >= "0058").write_parquet(data)
    code = (
        "import sys; from models.prediction.predict import main;"
        f"code = main([{str(tmp_path / 'elsewhere')!r}, {str(data)!r}, {str(tmp_path / 'out.parquet')!r}]);"
        "sys.exit(code or 'torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    found = pl.read_parquet(tmp_path / "out.parquet")["prediction"].to_numpy()
    eras = coded.store.eras[57:]
    from eraflow.scoring.ranking import EraGroups

    whole = Ensemble.load(ensemble).predict(coded.store.matrix(eras), EraGroups(coded.store.offsets(eras)))
    np.testing.assert_array_equal(found, whole)
    assert load_predictor(ensemble).features == coded.store.features  # real features, whatever the members see


def test_a_single_model_predicts_a_file(coded, members, tmp_path):
    coded.planted.frame().filter(pl.col("era") == "0060").write_parquet(tmp_path / "live.parquet")
    (tmp_path / "names.json").write_text(json.dumps(list(coded.store.features)))
    model = members["lightgbm-beside"] / "model"
    done = predict_file(
        ensemble=str(model),
        data=str(tmp_path / "live.parquet"),
        out=str(tmp_path / "out.parquet"),
        features=str(tmp_path / "names.json"),
    )
    assert done["rows"] == 60
    found = pl.read_parquet(tmp_path / "out.parquet")["prediction"].to_numpy()
    np.testing.assert_array_equal(found, load_model(model).predict(coded.store.matrix(["0060"])))


@pytest.mark.parametrize("part", [f"{ENCODER}/encoder.npy", f"{ENCODER}/encoder.json", f"{INNER}/model.json"])
def test_a_damaged_part_is_named(members, tmp_path, part):
    folder = shutil.copytree(members["lightgbm-beside"] / "model", tmp_path / "model")
    (folder / part).write_bytes((folder / part).read_bytes()[:-3])
    with pytest.raises(DamagedModelError):
        load_model(folder)


def test_a_killed_member_keeps_its_folds_and_another_code_makes_them_anew(coded, members, tmp_path):
    out = shutil.copytree(members["lightgbm-beside"], tmp_path / "out")
    assert trained(coded, out, "lightgbm", "beside")["folds_reused"] == 2
    assert trained(coded, out, "lightgbm", "instead")["folds_reused"] == 0
    same = file_sha256(members["lightgbm-instead"] / "oof.parquet")
    assert file_sha256(out / "oof.parquet") == same
    assert trained(coded, out, "lightgbm", None)["folds_reused"] == 0


def test_without_a_code_the_signature_is_as_it_was(coded, tmp_path):
    plain = training(coded.store, tmp_path, member("lightgbm"))["job"]
    assert "code" not in decided(plain)
    beside, instead = (replace(plain, code=code_of(coded.job, coded.folder, use)) for use in ("beside", "instead"))
    assert decided(beside)["code"]["use"] == "beside"
    assert decided(beside) != decided(instead)


def test_selected_features_stand_beside_the_whole_code(coded, tmp_path):
    chosen = (("feature_00", "feature_03"), ("feature_01",), ("feature_02",))
    metrics = trained(coded, tmp_path, "lightgbm", "beside", features=chosen)
    assert metrics["features"] == [7, 6, 6]
    assert load_model(tmp_path / "model" / INNER).columns == (2, *range(12, 17))


def test_importance_is_told_for_features_and_code(coded, tmp_path):
    sample = ImportanceSample(TARGET, 200)
    trained(coded, tmp_path, "lightgbm", "beside", importance=sample)
    names = next(iter(read_importance(tmp_path).values())).features
    assert set(names) == {*coded.store.features, *(f"code_{number}" for number in range(5))}


def test_binned_rows_are_kept_for_each_code(coded, members, tmp_path):
    """The same eras of another window's code are other rows."""
    bins = KeptBins(tmp_path / "bins", "key", 100)
    for use in ("beside", "instead", "beside"):
        trained(coded, tmp_path / use, "lightgbm", use, bins=bins)
        name = "oof.parquet"
        assert file_sha256(tmp_path / use / name) == file_sha256(members[f"lightgbm-{use}"] / name)


@pytest.mark.parametrize("use", ["beside", "instead"])
def test_a_kind_that_learns_by_groups_has_one_of_the_code(coded, tmp_path, use):
    pytest.importorskip("transformers")
    params = {**member("transformer")["params"], "updates": 8}
    groups = {"first": coded.store.features[:6], "second": coded.store.features[6:]}
    trained(coded, tmp_path, "transformer", use, params=params, groups=groups)
    tokens = load_model(tmp_path / "model" / INNER).trained_with["tokens"]
    assert ("code" in tokens) == (use == "beside")
