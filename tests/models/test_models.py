"""What every kind of model promises: fit, predict, save and load, on int8 codes with missing targets."""

import hashlib
import json
from dataclasses import replace

import lightgbm
import numpy as np
import pytest

from eraflow.kinds import KINDS, UnknownKindError
from eraflow.machine.failures import StageNaN, StageStalled
from models.base.protocol import (
    ConstantPredictionsError,
    DamagedModelError,
    ModelSettingsError,
    TrainingDataError,
    check_predictions,
)
from models.base.rows import TrainingRows
from models.base.wholeeras import FitEras, fit_in_eras, predict_in_eras
from models.kinds import load_model, make_model
from tests.models.planted import PLAN, fast, plant
from tests.own_models import FOLDER

BOOSTERS = sorted(kind.name for kind in KINDS.values() if not kind.neural)
ROW_BY_ROW, WHOLE_ERAS = f"{FOLDER}/mine.py:Ridge", f"{FOLDER}/relative.py:Relative"
OWN = [pytest.param(ROW_BY_ROW, id="own"), pytest.param(WHOLE_ERAS, id="own of whole eras")]
every_kind = pytest.mark.parametrize("kind", [*sorted(KINDS), *OWN])
every_row_by_row = pytest.mark.parametrize(
    "kind", [*(kind.name for kind in KINDS.values() if not kind.needs_whole_eras), OWN[0]]
)
every_built_in = pytest.mark.parametrize("kind", sorted(KINDS))
AN_ERA = 100
every_booster = pytest.mark.parametrize("kind", BOOSTERS)


@pytest.fixture(scope="module")
def data():
    planted = plant(eras=20, rows=100)
    y = planted.y.copy()
    y[::9] = np.nan
    return planted.x, y


def fitted(kind, data, plan=PLAN, seed=3, progress=None, scratch=None, offsets=None, **params):
    model = make_model(kind, {**fast(kind), **params}, scratch=scratch)
    x, y = data
    offsets = offsets_of(x) if offsets is None else offsets
    eras = FitEras(offsets, np.arange(len(offsets) - 1), purge_weeks=4)
    fit_in_eras(model, x, y, eras, plan=plan, seed=seed, progress=progress)
    return model


def offsets_of(x):
    return np.array([*range(0, len(x), AN_ERA), len(x)])


def predicted(model, x, plan=None):
    return predict_in_eras(model, x, offsets_of(x), plan=plan)


def folder_hashes(folder):
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@every_kind
def test_it_learns_the_planted_signal_on_rows_it_has_not_seen(kind, data):
    fresh = plant(eras=10, seed=5)
    predictions = predicted(fitted(kind, data), fresh.x)
    assert predictions.dtype == np.float64
    assert np.corrcoef(predictions, fresh.y)[0, 1] > 0.3


@every_row_by_row
def test_rows_without_a_target_teach_nothing(kind, data):
    x, y = data
    known = ~np.isnan(y)
    nonsense = x.copy()
    nonsense[~known] = 4 - nonsense[~known]
    left = np.concatenate([[0], np.cumsum(known)])[offsets_of(x)]
    expected = predicted(fitted(kind, (x[known], y[known]), offsets=left), x)
    np.testing.assert_array_equal(predicted(fitted(kind, (nonsense, y)), x), expected)


@every_kind
def test_the_plan_changes_the_feeding_and_not_the_predictions(kind, data, tmp_path):
    expected = predicted(fitted(kind, data), data[0])
    for plan in (
        replace(PLAN, rows_in_memory=333),
        replace(PLAN, low_memory=True, rows_in_memory=500),
        replace(PLAN, device="cuda"),  # without one: the CPU
    ):
        np.testing.assert_array_equal(
            predicted(fitted(kind, data, plan, scratch=tmp_path), data[0], plan=plan), expected
        )
    assert list(tmp_path.iterdir()) == []


@every_kind
@pytest.mark.parametrize("threads", [1, 2])
def test_the_same_settings_give_the_same_files_and_predictions(kind, data, tmp_path, threads):
    plan = replace(PLAN, threads=threads)
    for name in ("a", "b"):
        fitted(kind, data, plan).save(tmp_path / name)
    assert folder_hashes(tmp_path / "a") == folder_hashes(tmp_path / "b")
    first, second = (predicted(load_model(tmp_path / name), data[0], plan=plan) for name in ("a", "b"))
    assert first.tobytes() == second.tobytes()


FEEDINGS = [
    replace(PLAN, rows_in_memory=333),
    replace(PLAN, rows_in_memory=700, batch_rows=256, low_memory=True),
    replace(PLAN, threads=2),
    replace(PLAN, threads=3, batch_rows=512),
    replace(PLAN, threads=2, rows_in_memory=100, low_memory=True),
]


@every_kind
def test_rows_in_memory_batch_rows_low_memory_and_threads_do_not_change_the_saved_bytes(kind, data, tmp_path):
    """A stage that was killed, or had to be leaner, gives the bytes it would have given."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    fitted(kind, data, PLAN, scratch=folder).save(tmp_path / "usual")
    usual = folder_hashes(tmp_path / "usual")
    for number, plan in enumerate(FEEDINGS):
        fitted(kind, data, plan, scratch=folder).save(tmp_path / str(number))
        assert folder_hashes(tmp_path / str(number)) == usual, plan


@every_built_in
def test_a_share_of_the_work_is_done_and_recorded(kind, data, tmp_path):
    seen = []
    neural = KINDS[kind].neural
    whole = {"updates": 12} if neural else {"n_estimators": 30}
    fitted(kind, data, replace(PLAN, work_factor=0.25), progress=lambda *at: seen.append(at), **whole).save(tmp_path)
    recorded = json.loads((tmp_path / "model.json").read_text())["trained_with"]
    assert recorded["work_factor"] == 0.25
    assert (recorded.get("trees"), recorded.get("updates")) == ((None, 3) if neural else (8, None))
    assert seen[-1][0] == seen[-1][1]
    short = predicted(fitted(kind, data, **({"updates": 3} if neural else {"n_estimators": 8})), data[0])
    np.testing.assert_array_equal(predicted(load_model(tmp_path), data[0]), short)
    load_model(tmp_path).save(tmp_path / "again")
    assert json.loads((tmp_path / "again" / "model.json").read_text())["trained_with"] == recorded


@every_built_in
def test_the_rate_factor_multiplies_the_rate_and_is_recorded(kind, data, tmp_path):
    rate = fast(kind)["learning_rate"]
    model = fitted(kind, data, replace(PLAN, rate_factor=0.3))
    assert (
        predicted(model, data[0]).tobytes()
        == predicted(fitted(kind, data, learning_rate=rate * 0.3), data[0]).tobytes()
    )
    model.save(tmp_path)
    assert json.loads((tmp_path / "model.json").read_text())["trained_with"]["rate_factor"] == 0.3


@every_built_in
def test_another_seed_gives_another_model(kind, data):
    first, second = (predicted(fitted(kind, data, seed=seed), data[0]) for seed in (1, 2))
    assert not np.array_equal(first, second)


@every_kind
def test_a_loaded_model_predicts_to_the_last_bit_and_saves_the_same_file(kind, data, tmp_path):
    model = fitted(kind, data)
    model.save(tmp_path / "a")
    loaded = load_model(tmp_path / "a")
    assert loaded.kind == model.kind
    assert predicted(loaded, data[0]).tobytes() == predicted(model, data[0]).tobytes()
    loaded.save(tmp_path / "b")
    assert predicted(load_model(tmp_path / "b"), data[0]).tobytes() == predicted(model, data[0]).tobytes()


@every_booster
def test_progress_counts_the_trees(kind, data):
    seen = []
    fitted(kind, data, progress=lambda *values: seen.append(values))
    assert seen[-1] == (30, 30, "trees")
    assert [done for done, _, _ in seen] == sorted(done for done, _, _ in seen)


@every_booster
@pytest.mark.parametrize(
    ("params", "named"),
    [
        ({"max_depht": 3}, "max_depht"),
        ({"max_depth": "three"}, "depth='three'"),
        ({"n_estimators": 0}, "is 0"),
        ({"n_estimators": 2.5}, "2.5"),
        ({"learning_rate": "fast"}, "learning_rate"),
        ({"subsample": 7}, "=7"),
        ({"random_state": 1}, "random_state"),
        ({"n_estimators": 5, "num_iterations": 6}, "num_iterations"),
    ],
)
def test_a_wrong_parameter_is_named_before_the_work(kind, params, named):
    with pytest.raises(ModelSettingsError, match=named):
        make_model(kind, params)


@every_booster
def test_common_names_reach_the_library(kind, data, tmp_path):
    fitted(kind, data, max_depth=2).save(tmp_path)
    params = json.loads((tmp_path / "model.json").read_text())["params"]
    values = sorted(str(params[name]) for name in params if name in {
        "num_iterations", "n_estimators", "iterations", "learning_rate", "max_depth", "depth",
        "feature_fraction", "colsample_bytree", "rsm",
    })  # fmt: skip
    assert values == ["0.1", "0.5", "2", "30"]


def test_an_unknown_kind_is_named():
    with pytest.raises(UnknownKindError, match="'ridge'"):
        make_model("ridge")


@every_kind
@pytest.mark.parametrize(
    ("x", "y"),
    [
        (np.zeros((4, 2), np.float32), np.zeros(4)),
        (np.zeros((4, 2), np.int8), np.zeros(3)),
        (np.zeros((4, 2), np.int8), np.full(4, np.nan)),
        (np.zeros((4, 2), np.int8), np.array([0, 1, np.inf, 0])),
        (np.zeros((4, 2), np.int8), np.zeros(4, int)),
    ],
    ids=["float matrix", "lengths", "no target", "infinite", "integer target"],
)
def test_data_that_cannot_be_learnt_from_is_named(kind, x, y):
    with pytest.raises(TrainingDataError):
        make_model(kind).fit(x, y, plan=PLAN, seed=1)


@every_kind
@pytest.mark.parametrize("constant", ["target", "features"])
def test_nothing_to_learn_ends_in_a_named_error(kind, constant, data):
    x, y = data
    x, y = (x, np.full(len(y), 0.5)) if constant == "target" else (np.full_like(x, 2), y)

    def learn_and_check():
        check_predictions(predicted(fitted(kind, (x, y)), x), kind)

    with pytest.raises((ConstantPredictionsError, StageStalled)):  # the mlp sees it while it trains
        learn_and_check()


def test_predictions_that_are_not_finite_are_a_nan_failure():
    with pytest.raises(StageNaN, match="1 of 3 predictions of somebody"):
        check_predictions(np.array([1.0, np.nan, 2.0]), "somebody")
    check_predictions(np.array([1.0]), "one row may be what it is")
    check_predictions(np.empty(0), "no rows")


@every_kind
def test_other_features_and_damaged_files_are_refused(kind, data, tmp_path):
    model = fitted(kind, data)
    with pytest.raises(DamagedModelError, match="12 features"):
        predicted(model, data[0][:, :5])
    model.save(tmp_path)
    file = next(path for path in sorted(tmp_path.rglob("*")) if path.is_file() and path.name != "model.json")
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])
    with pytest.raises(DamagedModelError):
        load_model(tmp_path)
    file.unlink()
    with pytest.raises(DamagedModelError):
        load_model(tmp_path)
    (tmp_path / "model.json").write_text("{}")
    with pytest.raises(DamagedModelError):
        load_model(tmp_path)


@every_kind
def test_a_model_that_was_never_fitted_says_so(kind, tmp_path):
    with pytest.raises(DamagedModelError):
        make_model(kind).predict(np.zeros((3, 2), np.int8))
    with pytest.raises(DamagedModelError):
        make_model(kind).save(tmp_path)


def test_lightgbm_fed_by_tiles_is_the_plain_lightgbm(data):
    """The lean road must not cost a bit: the same trees as from a float32 matrix with the library's own bins."""
    x, y = data
    known = ~np.isnan(y)
    settings = {
        "learning_rate": 0.1, "max_depth": 5, "num_leaves": 31, "feature_fraction": 0.5, "force_col_wise": True,
        "deterministic": True, "seed": 3, "num_threads": 1, "verbosity": -1,
    }  # fmt: skip
    plain = lightgbm.train(settings, lightgbm.Dataset(x[known].astype(np.float32), y[known].astype(np.float32)), 30)
    np.testing.assert_array_equal(predicted(fitted("lightgbm", data), x), plain.predict(x.astype(np.float32)))


def test_tiles_cover_the_known_rows_in_order_and_views_stay_views():
    x = np.arange(40, dtype=np.int8).reshape(20, 2)
    whole = TrainingRows(x, np.ones(20), rows_in_memory=6)
    assert [whole[rows].base is not None for rows in whole.tiles()] == [True] * 4
    np.testing.assert_array_equal(np.concatenate([whole[rows] for rows in whole.tiles()]), x)
    y = np.where(np.arange(20) % 3, 1.0, np.nan)
    part = TrainingRows(x, y, rows_in_memory=6)
    np.testing.assert_array_equal(np.concatenate([part[rows] for rows in part.tiles()]), x[~np.isnan(y)])
    assert part.labels.dtype == np.float32
