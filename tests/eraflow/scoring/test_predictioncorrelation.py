"""How alike the predictions of ensembles are, era by era, against numerai-tools."""

import numpy as np
import polars as pl
import pytest
from numerai_tools.scoring import spearman_correlation

from eraflow.scoring.predictioncorrelation import era_correlations, pair_correlations

ERAS, ROWS = 60, 40


@pytest.fixture
def files(tmp_path):
    """Three files of the same rows: one, the same with noise, and one of its own."""
    drawn = np.random.default_rng(3)
    one, other = drawn.normal(size=(2, ERAS * ROWS))
    found = {"a": one, "near": one + 0.3 * drawn.normal(size=len(one)), "far": other}
    for name, values in found.items():
        frame = {
            "id": [f"n{row}" for row in range(ERAS * ROWS)],
            "era": [f"{1 + row // ROWS:04d}" for row in range(ERAS * ROWS)],
            "prediction": values,
        }
        pl.DataFrame(frame).write_parquet(tmp_path / f"{name}.parquet")
    return {name: tmp_path / f"{name}.parquet" for name in found}


def test_each_era_is_what_numerai_tools_makes_of_it(files):
    found = era_correlations(files["a"], files["near"])
    one, other = (pl.read_parquet(files[name]).to_pandas() for name in ("a", "near"))
    for era in (0, ERAS - 1):
        rows = slice(era * ROWS, (era + 1) * ROWS)
        expected = spearman_correlation(one["prediction"][rows], other["prediction"][rows])
        assert found[era] == pytest.approx(expected, abs=1e-9)
    assert len(found) == ERAS


def test_rows_that_one_of_them_lacks_are_left_out_and_their_order_does_not_matter(files, tmp_path):
    frame = pl.read_parquet(files["near"])
    lacking = frame.filter(pl.col("era") != "0002").sort(["era", "prediction"])
    lacking.write_parquet(tmp_path / "lacking.parquet")
    found = era_correlations(files["a"], tmp_path / "lacking.parquet")
    whole = era_correlations(files["a"], files["near"])
    assert found == pytest.approx([whole[0], *whole[2:]], abs=1e-12)


def test_pairs_are_told_with_bounds_and_the_live_era_where_both_have_one(files):
    live = {"a": files["a"], "near": files["near"]}
    pairs = {(one["a"], one["b"]): one for one in pair_correlations(files, live, 5, 0.95)}
    assert set(pairs) == {("a", "near"), ("a", "far"), ("near", "far")}
    near, far = pairs["a", "near"], pairs["a", "far"]
    assert near["low"] < near["mean"] < near["high"]
    assert far["low"] < far["mean"] < far["high"] < near["low"]
    assert near["live"] == pytest.approx(era_correlations(files["a"], files["near"])[0])
    assert far["live"] is None


def test_too_few_eras_have_a_mean_and_no_bounds(files, tmp_path):
    for name in ("a", "near"):
        pl.read_parquet(files[name]).head(3 * ROWS).write_parquet(tmp_path / f"few-{name}.parquet")
    few = {name: tmp_path / f"few-{name}.parquet" for name in ("a", "near")}
    [pair] = pair_correlations(few, {}, 13, 0.95)
    assert (pair["eras"], pair["low"], pair["high"], pair["live"]) == (3, None, None, None)
    assert pair["mean"] > 0.8
