"""A bag is the mean of its parts' ranks within eras, one model that is saved, loaded and explained like the others."""

import json
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import rankdata

from eraflow.data.memberbag import Bag, FeatureSet, FitRecipe
from eraflow.scoring.ranking import EraGroups
from eraflow.settings.bag import STANDARD
from models.bags.bagmodel import part_folder
from models.bags.parts import BagPart, parts_of
from models.bags.ranks import ranks_within_eras
from models.base.protocol import DamagedModelError, Explained, ModelSettingsError, TrainingDataError
from models.base.wholeeras import fit_in_eras, one_fit_era, predict_in_eras
from models.kinds import load_model, make_model
from tests.models.bags.bags import ROWS, fitted_bag, offsets_of, small_parts
from tests.models.planted import PLAN, fast, plant
from tests.models.test_models import folder_hashes
from tests.own_models import FOLDER

BOOSTERS = ("lightgbm", "xgboost", "catboost")
OWN = [pytest.param(f"{FOLDER}/{name}", id=name) for name in ("mine.py:Ridge", "relative.py:Relative")]
every_kind = pytest.mark.parametrize("kind", [*BOOSTERS, "mlp", *OWN])


@pytest.fixture(scope="module")
def planted():
    return plant(eras=16, rows=ROWS)


@pytest.fixture(scope="module")
def fresh():
    return plant(eras=6, rows=ROWS, seed=5)


@pytest.fixture(scope="module")
def bag(planted):
    return fitted_bag("lightgbm", planted, small_parts("lightgbm"))


def predicted(model, x):
    return predict_in_eras(model, x, offsets_of(x))


@every_kind
def test_a_bag_learns_and_is_loaded_to_the_last_bit(kind, planted, fresh, tmp_path):
    model = fitted_bag(kind, planted, small_parts(kind))
    predictions = predicted(model, fresh.x)
    assert np.corrcoef(predictions, fresh.y)[0, 1] > 0.3
    assert 0 < predictions.min() < predictions.max() < 1
    model.save(tmp_path)
    loaded = load_model(tmp_path)
    assert (loaded.kind, loaded.columns) == (model.kind, None)
    assert predicted(loaded, fresh.x).tobytes() == predictions.tobytes()
    assert isinstance(loaded, Explained) == isinstance(model, Explained) == (kind in BOOSTERS)
    described = json.loads((tmp_path / "model.json").read_text())
    assert [part["step"] for part in described["bag"]] == [1, 2, 2, 1, 2, 2]
    assert described["needs_whole_eras"]


@every_kind
def test_a_bag_of_one_part_has_the_ranks_of_the_plain_model(kind, planted, fresh):
    plain = make_model(kind, fast(kind))
    offsets = offsets_of(planted.x)
    fit_in_eras(plain, planted.x, planted.y, replace(one_fit_era(1), offsets=offsets, weeks=np.arange(16)),
                plan=PLAN, seed=3)  # fmt: skip
    alone = fitted_bag(kind, replace(planted), (BagPart(0, fast(kind)),))
    for rows in (slice(0, 100), slice(500, 600)):
        ranks = (rankdata(predicted(plain, fresh.x)[rows]) - 0.5) / ROWS
        np.testing.assert_allclose(predicted(alone, fresh.x)[rows], ranks, rtol=0, atol=1e-15)


def test_each_recipe_counts_alike_on_each_set(bag, fresh):
    groups = EraGroups(offsets_of(fresh.x))
    ranks = [ranks_within_eras(predicted(part.model, fresh.x), groups) for part in bag.fitted]
    recipes = [ranks[0], (ranks[1] + ranks[2]) / 2, ranks[3], (ranks[4] + ranks[5]) / 2]
    np.testing.assert_allclose(predicted(bag, fresh.x), np.mean(recipes, axis=0), atol=1e-12)


@settings(max_examples=15, deadline=None)
@given(st.permutations(range(6)), st.sets(st.integers(1, 5)))
def test_neither_the_order_nor_the_batches_of_eras_matter(bag, fresh, order, cuts):
    whole = predicted(bag, fresh.x).reshape(6, ROWS)
    rows = np.concatenate([np.arange(era * ROWS, (era + 1) * ROWS) for era in order])
    bounds = [0, *sorted(cuts), 6]
    parts = [predicted(bag, fresh.x[rows[a * ROWS : b * ROWS]]) for a, b in pairwise(bounds)]
    np.testing.assert_array_equal(np.concatenate(parts).reshape(6, ROWS), whole[list(order)])


def test_the_plan_changes_no_byte_of_a_saved_bag(planted, tmp_path):
    for number, plan in enumerate((PLAN, replace(PLAN, threads=2, rows_in_memory=333, low_memory=True))):
        fitted_bag("xgboost", planted, small_parts("xgboost"), plan=plan).save(tmp_path / str(number))
    assert folder_hashes(tmp_path / "0") == folder_hashes(tmp_path / "1")


def test_a_part_that_says_nothing_of_an_era_changes_no_order(fresh):
    groups = EraGroups(offsets_of(fresh.x))
    assert set(ranks_within_eras(np.zeros(600), groups)) == {0.5}
    tied = np.array([3.0, 1.0, 1.0, 2.0])
    assert ranks_within_eras(tied, EraGroups.from_sizes([4])).tolist() == [0.875, 0.25, 0.25, 0.625]


def test_shuffled_targets_leave_nothing_to_find(planted, fresh):
    model = fitted_bag("lightgbm", planted.shuffled_within_eras(2), small_parts("lightgbm"))
    assert abs(np.corrcoef(predicted(model, fresh.x), fresh.y)[0, 1]) < 0.12  # 2.9 standard errors of 600 rows


def test_importance_is_the_mean_of_the_parts(bag, fresh):
    gain = bag.gain()
    assert gain.sum() == pytest.approx(1)
    assert set(np.argsort(-gain)[:2]) == {0, 1}
    shap = np.abs(bag.contributions(fresh.x[:50], 1)).mean(axis=0)
    assert shap.shape == (13,)
    assert set(np.argsort(-shap[:12])[:2]) == {0, 1}
    assert bag.contribution_steps() == sum(part.model.contribution_steps() for part in bag.fitted)


def test_the_columns_of_a_bag_are_those_of_its_parts(planted, fresh):
    parts = parts_of(
        Bag((FitRecipe(fast("lightgbm")),), (FeatureSet("a"), FeatureSet("b"))), {"a": (0, 3), "b": (1, 3, 7)}
    )
    model = fitted_bag("lightgbm", planted, parts)
    assert model.columns == (0, 1, 3, 7)
    assert model.gain().shape == (4,)
    assert model.contributions(fresh.x[:20][:, [0, 1, 3, 7]], 1).shape == (20, 5)
    other = fresh.x.copy()
    other[:, [2, 4, 5, 6, 8, 9, 10, 11]] = 0
    np.testing.assert_array_equal(predicted(model, other), predicted(model, fresh.x))


def test_progress_rises_over_all_parts(planted):
    seen = []
    fitted_bag("catboost", planted, small_parts("catboost"), progress=lambda *at: seen.append(at))
    assert seen[-1] == (100, 100, "% of 6 fits")
    assert [done for done, _, _ in seen] == sorted(done for done, _, _ in seen)


def test_what_cannot_be_is_named(planted, fresh, bag, tmp_path):
    with pytest.raises(ModelSettingsError, match="max_depht"):
        make_model("lightgbm", parts=[BagPart(0, {}), BagPart(1, {"max_depht": 3})])
    with pytest.raises(TrainingDataError, match="every 40th era, and there are 16"):
        fitted_bag("lightgbm", planted, [BagPart(0, fast("lightgbm"), step=40)])
    with pytest.raises(DamagedModelError):
        make_model("lightgbm", parts=[BagPart(0, {})]).save(tmp_path / "none")
    with pytest.raises(DamagedModelError, match="12 features"):
        predicted(bag, fresh.x[:, :5])


@pytest.mark.parametrize("number", [0, 3])
def test_a_part_that_is_another_one_is_refused(bag, planted, tmp_path, number):
    bag.save(tmp_path / "a")
    fitted_bag("lightgbm", planted, small_parts("lightgbm"), seed=4).save(tmp_path / "b")
    file = f"{part_folder(number)}/model.json"
    (tmp_path / "a" / file).write_bytes((tmp_path / "b" / file).read_bytes())
    with pytest.raises(DamagedModelError):
        load_model(tmp_path / "a")


@pytest.mark.parametrize(("kind", "number"), [(kind, at) for kind in STANDARD for at in range(len(STANDARD[kind]))])
def test_the_learners_take_the_params_of_the_usual_bags(kind, number):
    params = STANDARD[kind][number].params
    assert make_model(kind, params).trees == params["n_estimators"]
