"""Borders of judged blocks stay where they are from week to week."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eraflow.data.eras import walk_forward
from eraflow.data.judgedblocks import even_edges, fixed_edges
from eraflow.settings.windows import WindowSettings


def starts(count, folds, fraction=0.4):
    """The numbers of the eras with which the blocks of eras 1 to `count` begin, and how many eras may be judged."""
    first = int(count * fraction)
    return [edge + 1 for edge in fixed_edges(range(1, count + 1), first, folds)[:-1]], count - first


@settings(max_examples=80, deadline=None)
@given(st.integers(60, 1400), st.integers(2, 12), st.floats(0.1, 0.8))
def test_another_week_moves_no_border_and_the_oldest_block_falls_off_only_when_a_new_one_begins(count, folds, fraction):
    (before, _), (after, _) = starts(count, folds, fraction), starts(count + 1, folds, fraction)
    widths = {later - earlier for earlier, later in pairwise(before)}
    if len(widths) > 1 or {later - earlier for earlier, later in pairwise(after)} != widths:
        return  # there are too few eras for a grid, or the width has grown: then all borders are others
    assert after in (before, [*before[1:], before[-1] + widths.pop()])


@settings(max_examples=80, deadline=None)
@given(st.integers(100, 1400), st.integers(2, 10))
def test_as_many_blocks_as_asked_the_newest_of_half_a_width_to_one_and_a_half(count, folds):
    found, allowed = starts(count, folds)
    assert len(found) == folds
    assert found[0] > count - allowed  # nothing before the fraction is judged
    widths = [later - earlier for earlier, later in pairwise(found)]
    if len(set(widths)) == 1 and widths[0] >= 8:
        assert widths[0] / 2 <= count + 1 - found[-1] < 1.5 * widths[0] + 1
        assert count + 1 - found[0] > 0.7 * allowed * (folds - 0.5) / (folds + 0.5)


def test_in_two_years_of_weeks_everything_is_trained_anew_once_at_the_most():
    """As many windows as are not those of the week before, over 104 weeks at the length of the real data."""
    weeks = [
        walk_forward([f"{era:04d}" for era in range(1, count)], 20, WindowSettings()) for count in range(1201, 1306)
    ]
    known: set[tuple[str, ...]] = {window.train for window in weeks[0]}
    new = 0
    for week in weeks[1:]:
        new += sum(window.train not in known for window in week)
        known |= {window.train for window in week}
    assert new <= 6  # as windows are known by what they learn from: a new block now and then


def test_where_blocks_would_be_empty_the_borders_are_even():
    sparse = [*range(1, 40), *range(100, 110), *range(200, 240)]
    assert fixed_edges(sparse, 39, 4) == even_edges(len(sparse), 39, 4)
    assert fixed_edges(range(1, 12), 5, 4) == even_edges(11, 5, 4)
    assert fixed_edges(range(1, 101), 40, 1) == [40, 100]


@pytest.mark.parametrize("step", [2, 4])
def test_eras_that_are_thinned_out_have_the_borders_of_all(step):
    every, some = list(range(1, 801)), list(range(1, 801, step))
    whole = [every[edge] for edge in fixed_edges(every, 320, 5)[:-1]]
    thinned = [some[edge] for edge in fixed_edges(some, 320 // step, 5)[:-1]]
    assert all(0 <= later - border < step for border, later in zip(whole, thinned, strict=True))
