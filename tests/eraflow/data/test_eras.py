"""Windows never leak: properties that hold for every accepted setting."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from eraflow.data.eras import (
    AliasTargetError,
    BadEraError,
    PurgeTooSmallError,
    TooFewErasError,
    UnknownHorizonError,
    UnorderedErasError,
    era_number,
    eras_before,
    final_eras,
    member_purge,
    purge_weeks,
    target_horizon,
    walk_forward,
    windows_before,
)
from eraflow.settings.windows import WindowSettings


def labels(first: int, count: int, step: int = 1) -> tuple[str, ...]:
    return tuple(f"{number:04d}" for number in range(first, first + count * step, step))


# Many drawn cases hold too few eras for their windows, which is another test's subject.
MOSTLY_TOO_FEW = [HealthCheck.filter_too_much]


@st.composite
def cases(draw):
    numbers = sorted(draw(st.sets(st.integers(1, 700), min_size=2, max_size=160)))
    if draw(st.booleans()):  # mostly whole runs of weeks, as in the real files
        numbers = list(range(draw(st.integers(1, 600)), 700))[: draw(st.integers(2, 160))]
    horizon = draw(st.sampled_from([20, 60]))
    window = WindowSettings(
        kind=draw(st.sampled_from(["expanding", "sliding"])),
        folds=draw(st.integers(1, 8)),
        first_test_fraction=draw(st.floats(0.06, 0.94)),
        train_eras=draw(st.none() | st.integers(10, 40)),
        purge_weeks=draw(st.none() | st.integers(purge_weeks(horizon), 40)),
    )
    return tuple(f"{number:04d}" for number in numbers), horizon, window, draw(st.integers(1, 4))


@settings(max_examples=60, deadline=None, suppress_health_check=MOSTLY_TOO_FEW)
@given(cases())
def test_windows_keep_their_promises(case):
    eras, horizon, window, stride = case
    try:
        windows = walk_forward(eras, horizon, window, stride=stride)
    except TooFewErasError:
        assume(False)
    purge = window.purge_weeks or purge_weeks(horizon)
    judged = [era for fold in windows for era in fold.test]
    assert len(windows) == window.folds
    assert tuple(judged) == eras[len(eras) - len(judged) :]  # contiguous, disjoint, complete, to the last era
    assert [fold.index for fold in windows] == list(range(window.folds))
    for fold in windows:
        assert fold.train
        assert fold.purge_weeks == purge
        assert min(map(era_number, fold.test)) - max(map(era_number, fold.train)) > purge >= purge_weeks(horizon)
        assert set(fold.train) <= set(eras[::stride])
        if window.kind == "sliding":
            assert len(fold.train) == (window.train_eras or len(windows[0].train))
        else:
            assert fold.train == eras_before(eras[::stride], fold.test[0], purge)


def test_the_laptop_profile_on_a_real_calendar():
    windows = walk_forward(labels(1, 574), 60, WindowSettings())
    assert [len(fold.test) for fold in windows] == [60, 60, 60, 60, 34]
    assert windows[0].test[0] == "0301"
    assert windows[0].train[-1] == "0284"  # 301 - 284 = 17 weeks, so 16 whole weeks lie between
    assert windows[0].train[0] == windows[4].train[0] == "0001"


def test_the_purge_counts_weeks_when_eras_are_subsampled():
    every_fourth = labels(1, 150, step=4)
    fold = walk_forward(every_fourth, 20, WindowSettings(folds=1))[0]
    gap = era_number(fold.test[0]) - era_number(fold.train[-1])
    assert gap == 12  # the next multiple of four above eight weeks: two eras are left out, not eight


def test_sliding_windows_move_and_keep_their_length():
    windows = walk_forward(labels(1, 200), 20, WindowSettings(kind="sliding", train_eras=30), stride=2)
    assert {len(fold.train) for fold in windows} == {30}
    assert windows[0].train[0] < windows[1].train[0]
    assert {era_number(b) - era_number(a) for a, b in zip(windows[0].train, windows[0].train[1:], strict=False)} == {2}


def test_no_setting_undercuts_the_purge():
    with pytest.raises(PurgeTooSmallError, match="needs at least 16"):
        walk_forward(labels(1, 300), 60, WindowSettings(purge_weeks=15))
    assert walk_forward(labels(1, 300), 60, WindowSettings(purge_weeks=16))[0].purge_weeks == 16
    assert walk_forward(labels(1, 300), 60, WindowSettings(purge_weeks=30))[0].purge_weeks == 30


@pytest.mark.parametrize(
    ("count", "window"),
    [
        (30, WindowSettings()),  # the purge swallows the training eras
        (3, WindowSettings(first_test_fraction=0.9)),  # fewer judged eras than windows
        (200, WindowSettings(kind="sliding", train_eras=100)),
        (0, WindowSettings()),
    ],
)
def test_too_few_eras_are_named(count, window):
    with pytest.raises(TooFewErasError, match="resolved eras"):
        walk_forward(labels(1, count), 60, window)


def test_eras_out_of_order_or_without_number_are_named():
    with pytest.raises(UnorderedErasError, match="0003"):
        walk_forward(("0001", "0003", "0003"), 20, WindowSettings())
    with pytest.raises(UnorderedErasError):
        walk_forward(("0004", "0003"), 20, WindowSettings())
    for label in ("X", "", "\u0661", "-1", "1.0"):
        with pytest.raises(BadEraError):
            walk_forward(("0001", label), 20, WindowSettings())


def test_horizons_come_from_names():
    assert target_horizon("target_ender_60") == 60
    assert target_horizon("target_a_20") == 20
    assert target_horizon("target_teager2b_20", None) == 20
    assert target_horizon("target", 60) == 60
    assert target_horizon("target_ender_60", 60) == 60
    with pytest.raises(AliasTargetError, match="alias_horizon"):
        target_horizon("target")
    with pytest.raises(AliasTargetError, match="20 days"):
        target_horizon("target_ender_60", 20)
    for name in ("target_nomi", "target_x_0", "target_20d", ""):
        with pytest.raises(UnknownHorizonError):
            target_horizon(name)


def test_purge_of_the_known_horizons():
    assert (purge_weeks(20), purge_weeks(60), purge_weeks(5), purge_weeks(1)) == (8, 16, 5, 5)
    with pytest.raises(UnknownHorizonError):
        purge_weeks(0)


def test_final_fit_takes_all_resolved_eras_and_never_drops_the_newest():
    eras = labels(1, 100)
    assert final_eras(eras) == eras
    assert final_eras(eras, WindowSettings(), stride=3)[-1] == "0100"
    assert len(final_eras(eras, stride=3)) == 34
    kept = [final_eras(eras[:count], stride=3, from_first=True) for count in (98, 99, 100)]
    assert kept[0] == kept[1] == kept[2][:-1]  # another week adds eras and leaves the others as they are
    assert kept[2][-1] == "0100"
    assert final_eras(eras, WindowSettings(kind="sliding", train_eras=20)) == eras[-20:]
    assert final_eras(eras, WindowSettings(kind="sliding")) == eras


@settings(max_examples=60, deadline=None, suppress_health_check=MOSTLY_TOO_FEW)
@given(cases(), st.sampled_from([20, 60]), st.integers(0, 30), st.integers(0, 40))
def test_a_member_of_another_target_keeps_its_own_purge_before_the_same_judged_eras(case, own, later, longer):
    """Its eras may begin later (a benchmark) and end later (a shorter horizon) than those of the run's own target."""
    eras, horizon, window, stride = case
    known = eras[later:] + labels(era_number(eras[-1]) + 1, longer)
    try:
        judged = walk_forward(eras, horizon, window, stride=stride)
        windows = windows_before(judged, known, own, window, stride=stride)
    except TooFewErasError:
        assume(False)
    purge = member_purge(own, window.purge_weeks)
    assert purge >= purge_weeks(own)
    assert [fold.test for fold in windows] == [fold.test for fold in judged]
    for fold in windows:
        assert fold.purge_weeks == purge
        assert set(fold.train) <= set(known[::stride])
        assert era_number(fold.train[-1]) + purge < era_number(fold.test[0])
        allowed = [era for era in known[::stride] if era_number(era) + purge < era_number(fold.test[0])]
        assert list(fold.train) == (allowed if window.kind == "expanding" else allowed[-len(fold.train) :])


def test_a_purge_of_the_settings_lengthens_that_of_a_member_and_never_shortens_it():
    assert [member_purge(60, wanted) for wanted in (None, 8, 20)] == [16, 16, 20]
    assert member_purge(20, 10) == 10
