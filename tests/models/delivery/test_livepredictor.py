"""The shipped function with the frames that it may be given."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.delivery.livepredictor import LiveFeaturesError, make_predict
from models.delivery.parts import shipped_ensemble
from models.ensembles.ensemble import Ensemble
from models.ensembles.rankblend import rank_gaussian_blend
from tests.models.delivery.conftest import trained, write_members
from tests.models.planted import plant

FUNCTIONS = {"models.ensembles.rankblend:rank_gaussian_blend": rank_gaussian_blend}


@pytest.fixture(scope="module")
def predict(tmp_path_factory):
    """A booster on some columns; the function as it is here, not pickled."""
    folder, planted = tmp_path_factory.mktemp("live"), plant(eras=10)
    place = write_members(
        folder, {"lightgbm": trained("lightgbm", planted.x, planted.y, columns=[0, 1, 2, 3])}, planted.features
    )
    return make_predict(shipped_ensemble(Ensemble.load(place)), FUNCTIONS)


def frame(eras=("X",), rows=40, seed=0):
    rng = np.random.default_rng(seed)
    made = pd.DataFrame(
        rng.integers(0, 5, (rows * len(eras), 12), dtype=np.int8), columns=[f"feature_{at:02d}" for at in range(12)]
    )
    made.insert(0, "era", np.repeat(eras, rows))
    return made.set_index(pd.Index([f"n{row:04d}" for row in range(len(made))], name="id"))


def changed(made, how, seed):
    rng = np.random.default_rng(seed)
    if how == "columns":
        return made[rng.permutation(made.columns)]
    if how == "more":
        return made.assign(data_type="live", target=np.nan, feature_zz=9)
    if how == "id column":
        return made.reset_index()
    if how == "float":
        return made.astype({name: np.float32 for name in made.columns if name.startswith("feature_")})
    if how == "nullable":
        return made.astype({"feature_01": "Int8", "feature_03": "Float64"})
    return made.drop(columns="era")


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    how=st.lists(st.sampled_from(["columns", "more", "id column", "float", "nullable", "no era"]), unique=True),
    seed=st.integers(0, 99),
)
def test_the_form_of_the_frame_changes_nothing(predict, how, seed):
    made = frame(seed=seed)
    expected = predict(made, None)
    for one in how:
        made = changed(made, one, seed)
    pd.testing.assert_frame_equal(predict(made, None), expected)


def test_ranks_are_within_each_era_and_whole(predict):
    both = frame(("0001", "0002"))
    found = predict(both, None)
    for era in ("0001", "0002"):
        pd.testing.assert_frame_equal(found[both["era"] == era], predict(both[both["era"] == era], None))
    assert found["prediction"].between(0, 1, inclusive="neither").all()
    assert found["prediction"].groupby(both["era"]).mean().tolist() == pytest.approx([0.5, 0.5])


def test_rows_of_an_era_may_be_scattered(predict):
    both = frame(("0001", "0002"))
    mixed = both.sample(frac=1, random_state=3)
    pd.testing.assert_frame_equal(predict(mixed, None).loc[both.index], predict(both, None))


def test_a_missing_value_is_the_code_2(predict):
    made = frame().astype({"feature_01": np.float32})
    missing, two = made.copy(), made.copy()
    missing.iloc[:7, 2], two.iloc[:7, 2] = np.nan, 2
    pd.testing.assert_frame_equal(predict(missing, None), predict(two, None))


@pytest.mark.parametrize("value", [5, -1, 1.5])
def test_what_is_no_code_is_named(predict, value):
    made = frame().astype({"feature_02": np.float32})
    made.iloc[3, 3] = value
    with pytest.raises(LiveFeaturesError, match="feature_02"):
        predict(made, None)


def test_a_feature_that_is_not_there_is_named(predict):
    with pytest.raises(LiveFeaturesError, match="1 of 12 features are missing, such as feature_05"):
        predict(frame().drop(columns="feature_05"), None)


def test_no_rows_give_no_rows(predict):
    found = predict(frame().iloc[:0], None)
    assert (len(found), list(found.columns), found.index.name) == (0, ["prediction"], "id")
