"""Which eras a search may see: nothing that the backtest judges on, and for its trials nothing that confirms them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from eraflow.data.eras import TooFewErasError, Window, eras_before, member_purge, walk_forward, windows_before
from eraflow.errors import EraflowError
from eraflow.settings.search import SearchSettings
from eraflow.settings.windows import WindowSettings

FIRST_TEST_FRACTION = 0.5
"""Trials learn from the older half at least: with expanding windows of three folds, 50, 67 and 83 % of the eras."""
LEAST_CONFIRMATION = 4


class TooFewErasToSearchError(EraflowError):
    """Before the first judged era there are too few eras for folds and confirmation."""

    code = "too_few_eras_to_search"
    exit_code = 2


@dataclass(frozen=True)
class SearchEras:
    """The eras of a search.

    Attributes:
        folds: what trials learn from and are judged on, thinned by `search.era_stride`.
        confirmation: what finalists learn from, and the newest eras, which no trial has seen.
        purge_weeks: between all of these, and before the backtest's first judged era.
    """

    folds: tuple[Window, ...]
    confirmation: Window
    purge_weeks: int


def search_eras(
    judgeable: Sequence[str],
    known: Sequence[str],
    first_judged: str,
    *,
    horizons: Sequence[int],
    search: SearchSettings,
    windows: WindowSettings,
    stride: int = 1,
) -> SearchEras:
    """Cut the eras before the backtest's first judged one.

    Args:
        judgeable: eras in which the run's own target is resolved, in order.
        known: eras in which the target that is learnt is known, in order.
        first_judged: the first judged era of the backtest.
        horizons: of both targets, in trading days; the longer one decides the purge.
        search, windows: the settings.
        stride: finalists learn from every n-th era, as the final model does.

    Raises:
        TooFewErasToSearchError: there are too few.
    """
    purge = max(member_purge(days, windows.purge_weeks) for days in horizons)
    allowed, learnable = (eras_before(eras, first_judged, purge) for eras in (judgeable, known))
    count = round(search.confirm_share * len(allowed))
    if count < LEAST_CONFIRMATION:
        raise _too_few(len(allowed), len(learnable), first_judged, purge)
    confirm = allowed[-count:]
    trial, trial_learn = (eras_before(eras, confirm[0], purge) for eras in (allowed, learnable))
    cut = WindowSettings(folds=search.folds, first_test_fraction=FIRST_TEST_FRACTION, purge_weeks=purge)
    longest = max(horizons)
    try:
        judged = walk_forward(trial, longest, cut, even=True)
        folds = windows_before(judged, trial_learn, longest, cut, stride=max(search.era_stride, stride))
    except TooFewErasError as error:
        raise _too_few(len(allowed), len(learnable), first_judged, purge) from error
    train = eras_before(learnable[:: max(stride, 1)], confirm[0], purge)
    thinned = (Window(one.index, one.train, one.test[:: search.era_stride], purge) for one in folds)
    return SearchEras(tuple(thinned), Window(len(folds), train, confirm, purge), purge)


def _too_few(found: int, learnable: int, first_judged: str, purge: int) -> TooFewErasToSearchError:
    known = "" if learnable == found else f", and what is learnt is known in {learnable} of them"
    return TooFewErasToSearchError(
        f"{found} eras lie before the first judged era {first_judged} and its purge of {purge} weeks{known}: too few "
        "for the folds of a search, its confirmation, and a purge before each",
        "use more eras, raise windows.first_test_fraction, or lower search.folds and search.confirm_share",
    )
