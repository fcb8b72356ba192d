"""The eras of a base, of its adapters and of their judgement: apart by the purge, and anchored to the calendar."""

from __future__ import annotations

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from models.networks.adaptationeras import divide

few = settings(max_examples=60, deadline=None)
lengths = {"base_eras": st.integers(1, 150), "adapt_eras": st.integers(1, 80), "judge_eras": st.integers(1, 80)}


@st.composite
def some_weeks(draw):
    """The weeks from some first to some last one, every n-th, some of them missing."""
    first, count, stride = draw(st.integers(1, 300)), draw(st.integers(1, 400)), draw(st.sampled_from([1, 1, 4]))
    weeks = np.arange(first, first + count, stride)
    left_out = draw(st.sets(st.sampled_from(weeks[:-1].tolist() or [0]), max_size=20))
    return weeks[~np.isin(weeks, list(left_out))]


@few
@given(weeks=some_weeks(), purge=st.sampled_from([0, 8, 16]), **lengths)
def test_nothing_that_learns_reaches_what_judges(weeks, purge, base_eras, adapt_eras, judge_eras):
    found = divide(weeks, purge, base_eras=base_eras, adapt_eras=adapt_eras, judge_eras=judge_eras)
    assert len(found.base)
    assert set(found.base) | set(found.adapters) | set(found.judged) <= set(weeks)
    if len(found.judged):
        assert max(found.base.max(), found.adapters.max()) + purge < found.judged.min()
        assert found.judged[-1] == weeks[-1]
        assert np.ptp(found.judged) < judge_eras
        assert np.ptp(found.adapters) < adapt_eras
        assert found.adapters[-1] == weeks[weeks + purge < found.judged[0]][-1]


@few
@given(last=st.integers(1, 400), purge=st.sampled_from([0, 8, 16]), **lengths)
def test_a_base_is_never_older_than_is_said_nor_made_of_little(last, purge, base_eras, adapt_eras, judge_eras):
    weeks = np.arange(1, last + 1)
    found = divide(weeks, purge, base_eras=base_eras, adapt_eras=adapt_eras, judge_eras=judge_eras)
    free = weeks[weeks + purge < found.judged[0]] if len(found.judged) else weeks
    assert free[-1] - found.base[-1] < base_eras
    assert len(found.base) >= len(free) / 2
    assert np.array_equal(found.base, weeks[weeks <= found.base[-1]])


@few
@given(start=st.integers(150, 400), later=st.integers(1, 40), **lengths)
def test_later_weeks_go_on_with_the_same_base_until_the_grid_moves_on(start, later, base_eras, adapt_eras, judge_eras):
    given_lengths = {"base_eras": base_eras, "adapt_eras": adapt_eras, "judge_eras": judge_eras}
    now, then = (divide(np.arange(1, last + 1), 8, **given_lengths) for last in (start, start + later))
    assume(len(now.judged) and now.base[-1] % base_eras == 0)
    assert then.base[-1] >= now.base[-1]
    if then.base[-1] < now.base[-1] + base_eras:
        assert np.array_equal(now.base, then.base)
    assert then.base[-1] - now.base[-1] <= later + base_eras


def test_two_years_of_a_long_history():
    found = divide(np.arange(1, 901), 8, base_eras=104, adapt_eras=104, judge_eras=52)
    assert (found.base[0], found.base[-1]) == (1, 832)
    assert (found.adapters[0], found.adapters[-1]) == (737, 840)
    assert (found.judged[0], found.judged[-1]) == (849, 900)


def test_a_short_history_has_a_finer_grid():
    found = divide(np.arange(1, 141), 8, base_eras=104, adapt_eras=104, judge_eras=26)
    assert found.base[-1] == 104
    assert divide(np.arange(1, 91), 8, base_eras=104, adapt_eras=104, judge_eras=26).base[-1] == 52


def test_too_few_eras_are_all_for_the_base():
    found = divide(np.arange(1, 31), 8, base_eras=10, adapt_eras=5, judge_eras=20)
    assert (len(found.base), len(found.adapters), len(found.judged)) == (30, 0, 0)
