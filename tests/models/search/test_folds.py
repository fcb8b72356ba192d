"""Which eras a search may see. Counted in weeks by hand here, not by the code that cuts."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eraflow.machine.job import as_json, from_json
from eraflow.settings.search import SearchSettings
from eraflow.settings.windows import WindowSettings
from models.search.folds import SearchEras, TooFewErasToSearchError, search_eras

LEAST_PURGE = {20: 8, 60: 16}


@st.composite
def weeks(draw):
    """Rising era labels with gaps, the target's and the learner's resolved ones, and the first judged era."""
    steps = draw(st.lists(st.sampled_from([1, 1, 1, 1, 2, 5]), min_size=60, max_size=260))
    numbers, now = [], draw(st.integers(0, 500))
    for step in steps:
        now += step
        numbers.append(now)
    eras = [f"{number:04d}" for number in numbers]
    known = eras[draw(st.integers(0, 10)) : len(eras) - draw(st.integers(0, 10))]
    first = eras[draw(st.integers(len(eras) // 3, len(eras) - 1))]
    return eras, known, first


@settings(max_examples=80)
@given(
    weeks(),
    st.tuples(st.sampled_from([20, 60]), st.sampled_from([20, 60])),
    st.integers(2, 4),
    st.integers(1, 3),
    st.floats(0.1, 0.5),
    st.sampled_from([None, 20]),
)
def test_a_search_never_touches_what_is_judged_nor_its_trials_what_confirms_them(
    cut, horizons, folds, stride, share, wanted
):
    eras, known, first = cut
    search = SearchSettings(folds=folds, era_stride=stride, confirm_share=share)
    try:
        found = search_eras(
            eras, known, first, horizons=horizons, search=search, windows=WindowSettings(purge_weeks=wanted)
        )
    except TooFewErasToSearchError:
        return
    purge = max(LEAST_PURGE[horizons[0]], LEAST_PURGE[horizons[1]], wanted or 0)
    assert found.purge_weeks == purge
    windows = [*found.folds, found.confirmation]
    touched = {int(era) for window in windows for era in (*window.train, *window.test)}
    assert max(touched) < int(first) - purge
    for window in windows:
        assert window.train
        assert window.test
        assert set(window.train) <= set(known)
        assert max(map(int, window.train)) < min(map(int, window.test)) - purge
    in_trials = {int(era) for window in found.folds for era in (*window.train, *window.test)}
    assert max(in_trials) < int(found.confirmation.test[0]) - purge
    judged = [era for window in found.folds for era in window.test]
    assert len(judged) == len(set(judged))
    assert from_json(SearchEras, as_json(found)) == found


def test_confirmation_takes_the_newest_share_of_what_is_allowed():
    eras = [f"{number:04d}" for number in range(1, 201)]
    found = search_eras(
        eras, eras, "0109", horizons=[20], search=SearchSettings(confirm_share=0.25), windows=WindowSettings()
    )
    assert found.confirmation.test == tuple(f"{number:04d}" for number in range(76, 101))
    assert found.confirmation.train[-1] == "0067"
    assert found.folds[-1].test[-1] == "0067"


def test_too_few_eras_are_named():
    eras = [f"{number:04d}" for number in range(1, 40)]
    with pytest.raises(TooFewErasToSearchError, match="first_test_fraction"):
        search_eras(eras, eras, "0030", horizons=[60], search=SearchSettings(), windows=WindowSettings())


def test_a_benchmark_that_covers_too_little_is_named_as_the_reason():
    eras = [f"{number:04d}" for number in range(1, 90)]
    with pytest.raises(TooFewErasToSearchError, match=r"79 eras lie before .* known in 4 of them"):
        search_eras(eras, eras[75:], "0088", horizons=[20], search=SearchSettings(), windows=WindowSettings())
