"""The residual to the benchmark: numerai-tools' own orthogonalisation, and what BMC measures."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numerai_tools.scoring import correlation_contribution, gaussian, orthogonalize, tie_kept_rank

from eraflow.scoring.ranking import EraGroups, ScoreInputError
from eraflow.scoring.residual import benchmark_residual

LEVELS = np.array([0.0, 0.25, 0.5, 0.75, 1.0])


def drawn(seed, sizes, *, levels=0, unknown=0.0):
    """Targets of five values and a benchmark related to them, with ties (`levels`) and gaps on request."""
    rng = np.random.default_rng(seed)
    n = sum(sizes)
    y = rng.choice(LEVELS, n, p=[0.05, 0.2, 0.5, 0.2, 0.05])
    m = 0.3 * y + rng.uniform(size=n)
    if levels:
        m = np.round(m * levels) / levels
    m[rng.uniform(size=n) < unknown] = np.nan
    y[rng.uniform(size=n) < unknown] = np.nan
    return y, m, EraGroups.from_sizes(sizes)


def by_numerai_tools(y, m):
    known = np.isfinite(y) & np.isfinite(m)
    ranked = gaussian(tie_kept_rank(pd.Series(m[known]).to_frame())).iloc[:, 0].to_numpy()
    result = np.full(len(y), np.nan)
    centred = y[known] - y[known].mean()
    result[known] = orthogonalize(centred[:, None], ranked)[:, 0] + y[known].mean()
    return result


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 2**31),
    st.lists(st.integers(8, 90), min_size=1, max_size=5),
    st.sampled_from([0, 3, 20]),
    st.sampled_from([0.0, 0.2]),
)
def test_it_is_numerai_tools_orthogonalisation_era_by_era(seed, sizes, levels, unknown):
    y, m, groups = drawn(seed, sizes, levels=levels, unknown=unknown)
    found = benchmark_residual(y, m, groups)
    for start, stop in zip(groups.offsets[:-1], groups.offsets[1:], strict=True):
        here = slice(start, stop)
        known = np.isfinite(y[here]) & np.isfinite(m[here])
        if known.sum() and np.unique(m[here][known]).size > 1:
            np.testing.assert_allclose(found[here], by_numerai_tools(y[here], m[here]), atol=1e-12)
        else:
            assert np.isnan(found[here]).all()


def test_what_a_model_earns_on_it_is_bmc():
    """The covariance of any prediction with the residual is the contribution that numerai-tools reckons."""
    y, m, groups = drawn(3, [400])
    residual = benchmark_residual(y, m, groups)
    predictions = 0.5 * y + np.random.default_rng(4).normal(size=400)
    index = [f"n{i:04d}" for i in range(400)]
    frame = pd.DataFrame({"p": predictions}, index=index)
    bmc = correlation_contribution(frame, pd.Series(m, index), pd.Series(y, index))["p"]
    ranked = gaussian(tie_kept_rank(frame)).to_numpy()[:, 0]
    assert abs(4 * np.mean(ranked * (residual - residual.mean())) - bmc) < 1e-12


def test_an_era_whose_benchmark_does_not_vary_or_is_absent_teaches_nothing():
    y, m, groups = drawn(5, [30, 30, 30])
    m[:30], m[30:60] = 0.5, np.nan
    found = benchmark_residual(y, m, groups)
    assert np.isnan(found[:60]).all()
    assert np.isfinite(found[60:]).all()
    np.testing.assert_allclose(found[60:].mean(), y[60:].mean(), atol=1e-3)


def test_lengths_that_differ_are_named():
    y, m, groups = drawn(6, [20])
    with pytest.raises(ScoreInputError, match="benchmark"):
        benchmark_residual(y, m[:-1], groups)
