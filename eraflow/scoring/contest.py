"""Whether a challenger takes the champion's place: a paired test that is looked at every week, with hysteresis.

A week's look is the EWC lower bound of the per-era differences in CORR, challenger less champion, over all out-of-fold
eras that both have. One look with a bound above the margin promotes nobody: successive weeks share nearly all of their
eras, and the best of 52 looks is far above the middle one. So the confidence is high, and the bound must hold in
several weeks in a row. `benchmarks/contest.py` simulates what that means in a year.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from eraflow.scoring.scoring import EraScores
from eraflow.scoring.statistics import ewc_interval, min_eras, without_infinities


@dataclass(frozen=True)
class Look:
    """What one week saw of a challenger.

    Attributes:
        round_number: of the week.
        challenger: name of its recipe.
        passed: whether the gate passed it.
        eras: common out-of-fold eras.
        difference, low: mean CORR less the champion's, and its lower bound; None where the eras are too few.
        shadow_eras: rounds that it was predicted in beside the champion and that are resolved by now.
        shadow_difference, shadow_high: the same there, and its upper bound; None where these are too few.
    """

    round_number: int
    challenger: str
    passed: bool
    eras: int
    difference: float | None
    low: float | None
    shadow_eras: int = 0
    shadow_difference: float | None = None
    shadow_high: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return without_infinities(asdict(self))


@dataclass(frozen=True)
class ContestDecision:
    """Whether the challenger is promoted, and why or why not, in words."""

    promoted: bool
    why: str


def look_at(
    round_number: int,
    challenger: str,
    passed: bool,
    scores: tuple[EraScores, EraScores],
    shadow: Sequence[float],
    overlap: int,
    confidence: float,
    shadow_confidence: float,
) -> Look:
    """This week's look.

    Args:
        round_number, challenger, passed: as in `Look`.
        scores: CORR by era of the champion's recipe and of the challenger, out of fold, oldest first.
        shadow: of each resolved round, oldest first, the challenger's CORR less the champion's.
        overlap: weeks over which labels overlap.
        confidence, shadow_confidence: one-sided, of the bounds.
    """
    champion = dict(zip(scores[0].eras, scores[0].values, strict=True))
    pairs = [(era, value) for era, value in zip(scores[1].eras, scores[1].values, strict=True) if era in champion]
    differences = [value - champion[era] for era, value in sorted(pairs)]
    mean, low, _ = _bounds(differences, overlap, confidence)
    shadow_mean, _, high = _bounds(shadow, overlap, shadow_confidence)
    return Look(round_number, challenger, passed, len(differences), mean, low, len(shadow), shadow_mean, high)


def contest_decision(looks: Sequence[Look], margin: float, weeks: int) -> ContestDecision:
    """What the looks up to now decide.

    Args:
        looks: of this challenger against this champion's recipe, oldest first, one a week.
        margin: the bound must lie above it.
        weeks: in so many successive looks.
    """
    if not looks:
        return ContestDecision(False, "nothing was looked at yet")
    last = looks[-1]
    if last.low is None:
        return ContestDecision(False, f"{last.eras} common eras are too few for a bound")
    clear = _clear(looks, margin)
    seen = (
        f"CORR {last.difference:+.4f} against the champion's recipe on {last.eras} common eras, lower bound "
        f"{last.low:+.4f}, which must lie above {margin:+.4f} in {weeks} successive weeks and does in {clear}"
    )
    if clear < weeks:
        return ContestDecision(False, seen)
    if not last.passed:
        return ContestDecision(False, f"{seen}; but the gate blocked it")
    if last.shadow_high is not None and last.shadow_high < 0:
        return ContestDecision(
            False,
            f"{seen}; but in the {last.shadow_eras} resolved rounds that it was predicted in it is significantly worse "
            f"({last.shadow_difference:+.4f})",
        )
    return ContestDecision(True, f"{seen}; {_shadow(last)}")


def _clear(looks: Sequence[Look], margin: float) -> int:
    """How many of the last looks in a row are above the margin."""
    count = 0
    for look in reversed(looks):
        if look.low is None or look.low <= margin:
            break
        count += 1
    return count


def _shadow(look: Look) -> str:
    if look.shadow_high is None:
        return f"{look.shadow_eras} of its rounds are resolved, too few to judge"
    return f"in {look.shadow_eras} resolved rounds {look.shadow_difference:+.4f}, not significantly worse"


def _bounds(
    differences: Sequence[float], overlap: int, confidence: float
) -> tuple[float | None, float | None, float | None]:
    if len(differences) < min_eras(overlap):
        return (sum(differences) / len(differences) if differences else None), None, None
    found = ewc_interval(differences, overlap, confidence)
    return found.mean, found.low, found.high


def look_of(values: Mapping[str, Any]) -> Look:
    """The inverse of `Look.as_dict`."""
    return Look(**values)
