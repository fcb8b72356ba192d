"""What each member may learn from, whatever its target: its own purge before the eras that everybody is judged on."""

import re
from dataclasses import replace

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from eraflow.data.contract import Contract
from eraflow.data.eras import TooFewErasError, era_number, final_eras, purge_weeks, walk_forward
from eraflow.data.membereras import LEAST_RESIDUAL_ERAS, BenchmarkCoverageError, cut_member
from eraflow.runs.stage import StageRecord
from eraflow.settings.models import ModelSettings
from eraflow.settings.windows import WindowSettings
from tasks.features import Features, _need
from tasks.needs import train_need

ROWS = 100


def labels(first, last):
    return tuple(f"{number:04d}" for number in range(first, last + 1))


def contract_of(horizon=20, last=200, other_last=208, benchmark_from=60):
    """Resolved eras 1 to `last`; the auxiliary target of 60 days to `last`, that of 20 days to `other_last`."""
    return Contract(
        features=("feature_a", "feature_b", "feature_c"),
        target=f"target_main_{horizon}",
        horizon_days=horizon,
        purge_weeks=purge_weeks(horizon),
        train_eras=labels(1, 100),
        validation_eras=labels(101, last),
        unresolved_eras=labels(last + 1, 220),
        live_rows=ROWS,
        live_era="X",
        benchmarks=("v1_lgbm_main20",),
        benchmark="v1_lgbm_main20",
        benchmark_eras=labels(benchmark_from, 220),
        meta_model_eras=(),
        rows={},
        auxiliary={"target_aux_20": labels(1, other_last), "target_aux_60": labels(3, last)},
    )


def features_of(contract, cut=None, stride=1):
    cut = cut or WindowSettings(folds=3)
    eras = contract.stored_eras
    metrics = {"rows": ROWS * len(eras), "eras": len(eras), "features": 3}
    record = StageRecord(name="features", folder="features", signature="s", files={}, metrics=metrics)
    windows = walk_forward(contract.resolved_eras, contract.horizon_days, cut, stride=stride)
    return Features(
        record, contract, tuple(windows), final_eras(contract.resolved_eras, cut, stride=stride), {}, stride
    )


def cut_of(features, model, cut=None):
    """A member of this model beside the run's own windows."""
    return cut_member(features.contract, features.windows, model, cut or WindowSettings(folds=3), features.stride)


def test_a_member_of_the_runs_own_target_has_the_runs_own_windows():
    features = features_of(contract_of())
    for model in (ModelSettings(), ModelSettings(target="target_main_20")):
        member = cut_of(features, model)
        assert member.windows == features.windows
        assert member.final_eras == features.training_eras


@settings(max_examples=50, deadline=None)
@given(
    horizon=st.sampled_from([20, 60]),
    target=st.sampled_from([None, "target_aux_20", "target_aux_60"]),
    learn=st.sampled_from(["target", "residual"]),
    cut=st.builds(
        WindowSettings,
        kind=st.sampled_from(["expanding", "sliding"]),
        folds=st.integers(1, 6),
        first_test_fraction=st.floats(0.2, 0.8),
        train_eras=st.none() | st.integers(10, 60),
        purge_weeks=st.none() | st.integers(16, 30),
    ),
    stride=st.integers(1, 4),
    benchmark_from=st.integers(1, 150),
)
def test_no_member_learns_within_its_own_purge_of_the_judged_eras(horizon, target, learn, cut, stride, benchmark_from):
    contract = contract_of(horizon=horizon, benchmark_from=benchmark_from)
    model = ModelSettings(target=target, learn=learn)
    try:
        features = features_of(contract, cut, stride)
        member = cut_of(features, model, cut)
    except (TooFewErasError, BenchmarkCoverageError):
        assume(False)
    own = target or contract.target
    windows = member.windows
    assert [window.test for window in windows] == [window.test for window in features.windows]
    for window in windows:
        assert window.purge_weeks >= max(purge_weeks(contract.horizon_of(own)), cut.purge_weeks or 0)
        assert era_number(window.train[-1]) + window.purge_weeks < era_number(window.test[0])
        assert set(window.train) <= set(contract.eras_of(own))
        if learn == "residual":
            assert set(window.train) <= set(contract.benchmark_eras)
    assert train_need(features, member).rows == ROWS * len(member.final_eras)


def test_a_member_of_several_targets_has_the_purge_of_the_longest_and_the_eras_of_its_own():
    features = features_of(contract_of())
    for also, purge in (({"target_aux_20": 0.5}, 8), ({"target_aux_20": 0.5, "target_aux_60": 0.5}, 16)):
        member = cut_of(features, ModelSettings(kind="mlp", also_learn=also))
        assert member.also == also
        assert {window.purge_weeks for window in member.windows} == {purge}
        assert [window.test for window in member.windows] == [window.test for window in features.windows]
        assert all(era_number(one.train[-1]) + purge < era_number(one.test[0]) for one in member.windows)
        assert member.final_eras == features.training_eras  # where the own one is known, whether the others are or not


def test_the_model_for_live_learns_every_era_in_which_its_own_target_is_known():
    features = features_of(contract_of())
    assert features.training_eras[-1] == "0200"
    assert cut_of(features, ModelSettings(target="target_aux_20")).final_eras == labels(1, 208)
    assert cut_of(features, ModelSettings(target="target_aux_60")).final_eras == labels(3, 200)
    assert cut_of(features, ModelSettings(target="target_aux_20", learn="residual")).final_eras == labels(60, 208)


@pytest.mark.parametrize("found", [LEAST_RESIDUAL_ERAS, LEAST_RESIDUAL_ERAS - 1])
def test_a_benchmark_that_begins_too_late_for_a_residual_is_named(found):
    """Judging begins with era 97; with a purge of 8 weeks, 88 is the last era before it that may be learnt from."""
    features = features_of(contract_of(benchmark_from=89 - found))
    model = ModelSettings(learn="residual")
    assert features.windows[0].test[0] == "0097"
    if found == LEAST_RESIDUAL_ERAS:
        assert cut_of(features, model).windows[0].train == labels(79, 88)
        return
    named = r"lightgbm-residual .* 9 eras before the first judged era 0097"
    with pytest.raises(BenchmarkCoverageError, match=named) as caught:
        cut_of(features, model)
    fraction = float(re.search(r"first_test_fraction to ([\d.]+)", caught.value.remedy)[1])
    cut = WindowSettings(folds=3, first_test_fraction=fraction)
    assert len(cut_of(features_of(features.contract, cut), model, cut).windows[0].train) >= LEAST_RESIDUAL_ERAS


def test_a_benchmark_that_covers_nothing_has_no_remedy_but_to_do_without():
    with pytest.raises(BenchmarkCoverageError, match="covers no era") as caught:
        cut_of(features_of(contract_of(benchmark_from=221)), ModelSettings(learn="residual"))
    assert caught.value.remedy == "set learn=target for it"


def test_the_era_store_needs_the_rows_and_chunks_of_what_is_learnt_from():
    counts = {"train.parquet": 40, "validation.parquet": 2, "live.parquet": 1}
    need = _need(replace(contract_of(), rows=counts, chunks={name: 10 * count for name, count in counts.items()}))
    assert (need.rows, need.chunks, need.columns) == (42, 420, 3)
    assert need.floats == 5  # three targets, the benchmark and the meta model
    assert _need(contract_of()).chunks == 0  # a contract that does not tell of them
