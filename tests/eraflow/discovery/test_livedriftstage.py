"""The stage that looks at a live era, over a store and a live file."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from numerai_tools.scoring import max_feature_correlation

from eraflow.discovery.livedriftstage import DriftJob, look_at_live, read_drift
from eraflow.machine.plan import Plan
from tests.eraflow.discovery.worlds import draw, store_of

ERAS, FEATURES = 119, 12


class World:
    """A store of past eras and the next era as a live file."""

    def __init__(self, folder):
        mix = np.random.default_rng(4).standard_normal((FEATURES, FEATURES)) + 2
        x, y = draw(np.zeros((ERAS + 1, 1)), features=FEATURES, latent=lambda z: z @ mix)
        store = store_of(x[:ERAS], y[:ERAS], folder / "past")
        self.store, self.features, self.folder = store.path, tuple(store.features), folder
        self.codes = pl.DataFrame(x[ERAS], schema=list(self.features))
        ids = [f"n{row:015x}" for row in range(len(self.codes))]
        self.ids, self.values = ids, np.random.default_rng(1).random(len(ids))
        self.live = self.write("live", self.codes)

    def write(self, name, codes):
        path = self.folder / f"{name}.parquet"
        codes.with_columns(id=pl.Series(self.ids), era=pl.lit("X")).write_parquet(path)
        return path

    def predicted(self, name, ids, values):
        path = self.folder / f"{name}.parquet"
        pl.DataFrame({"id": ids, "era": ["X"] * len(ids), "prediction": values}).write_parquet(path)
        return path

    def look(self, out, live=None, previous=None, **changes):
        job = DriftJob(
            **{"features": self.features, "eras": 260, "error_rate": 0.01, "store": self.store, **changes},
            live=live or self.live,
            predictions=self.predicted("own", self.ids, self.values),
            previous=previous,
        )
        told = look_at_live(job, out, Plan())
        assert read_drift(out) == told
        return told


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return World(tmp_path_factory.mktemp("drift"))


def test_exposure_is_that_of_numerai_tools_and_an_ordinary_era_names_nothing(world, tmp_path):
    told = world.look(tmp_path)
    frame = world.codes.to_pandas().astype(float)
    feature, largest = max_feature_correlation(pd.Series(world.values, name="prediction"), frame)
    assert abs(told["exposure"]["max"] - abs(largest)) < 1e-6
    assert next(iter(told["exposure"]["features"])) == feature
    assert (told["unlike"], told["unlike_before"], told["previous_corr"]) == (0, [], None)
    assert (told["past_eras"], told["error_rate"]) == (ERAS, 0.01)


def test_the_week_before_is_compared_row_by_row_whatever_the_order(world, tmp_path):
    before = world.predicted("before", world.ids[::-1], world.values[::-1] ** 3)
    assert world.look(tmp_path, previous=before)["previous_corr"] == pytest.approx(1)


@pytest.mark.parametrize("eras", [119, 30])
def test_a_broken_feature_is_named_with_the_rate_that_so_many_eras_allow(eras, world, tmp_path):
    name = world.features[3]
    broken = world.write("broken", world.codes.with_columns(pl.lit(2, dtype=pl.Int8).alias(name)))
    told = world.look(tmp_path, broken, eras=eras)
    assert told["unlike_before"][0]["feature"] == name
    assert told["unlike_before"][0]["figure"] == "share of code 2"
    assert told["unlike_before"][0]["now"] == 1
    assert told["error_rate"] == pytest.approx(max(0.01, 1 / (eras + 1)), abs=1e-6)


def test_a_few_past_eras_name_nothing_and_say_so(world, tmp_path):
    told = world.look(tmp_path, eras=19)
    assert (told["past_eras"], told["error_rate"], told["unlike_before"]) == (19, None, [])
