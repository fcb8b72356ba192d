"""What a search maximises: held-out score less a penalty on the gap to the training score, both adaptive.

*Adaptive regularisation.* A search that goes on for long drifts to models that fit their training eras better and
better: among equal held-out scores the sampler cannot tell skill from luck, and flexible models are lucky more often.
The gap, training CORR less held-out CORR, shows the drift. So a pressure between 0 and 1 is kept:

- after each completed trial, the median gap of the last `RECENT` completed ones is compared with the median of those
  before. Where it is larger by more than `TOLERANCE`, the pressure rises by `STEP`; where it is not larger, it falls by
  half a step; in between it stays;
- the weight of the penalty is the setting's at no pressure and `1 + MOST_PENALTY` times that at full pressure;
- the lower bounds of the regularisers rise by up to `MOST_FLOOR` of their logarithmic ranges;
- one trial in `OPEN_ONE_IN`, drawn by seed and position, keeps the lower bounds where they were, so that a search that
  was pressed too far can find out.

All this is a pure function of the history, the seed and the position of the trial: a resumed search repeats it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np

RECENT = 6
TOLERANCE = 0.05
"""Share by which medians of `RECENT` gaps differ by chance more often than not."""
STEP = 0.25
MOST_PENALTY = 3.0
MOST_FLOOR = 0.5
OPEN_ONE_IN = 8
SMALL_GAP = 1e-3
"""Gaps below it are noise of the scores; shares are not taken of less."""


@dataclass(frozen=True)
class CompletedTrial:
    """A completed trial: mean CORR on held-out eras and on training eras."""

    held_out: float
    training: float

    @property
    def gap(self) -> float:
        """Training less held-out."""
        return self.training - self.held_out


@dataclass(frozen=True)
class Pressure:
    """What is asked of the next trial.

    Attributes:
        level: 0 to 1.
        penalty: weight of the gap in the objective.
        floor: share of their logarithmic ranges by which the lower bounds of the regularisers have risen.
    """

    level: float
    penalty: float
    floor: float


def pressure_level(history: Sequence[CompletedTrial]) -> float:
    """The pressure after these completed trials, 0 to 1; see the module's text."""
    gaps = [trial.gap for trial in history]
    level = 0.0
    for stop in range(2 * RECENT, len(gaps) + 1):
        before, recent = median(gaps[: stop - RECENT]), median(gaps[stop - RECENT : stop])
        growth = (recent - before) / max(abs(before), SMALL_GAP)
        if growth > TOLERANCE:
            level += STEP
        elif growth <= 0:
            level -= STEP / 2
        level = min(max(level, 0.0), 1.0)
    return level


def pressure(history: Sequence[CompletedTrial], gap_penalty: float, *, seed: int, position: int) -> Pressure:
    """What the trial at `position` is asked for, after the completed trials of `history`.

    Args:
        history: completed trials, oldest first.
        gap_penalty: weight of the gap at no pressure; 0 switches penalty and floors off.
        seed: of the search.
        position: of the trial among all that count.
    """
    if gap_penalty == 0:
        return Pressure(0.0, 0.0, 0.0)
    level = pressure_level(history)
    is_open = np.random.SeedSequence([seed, position, 1]).generate_state(1)[0] % OPEN_ONE_IN == 0
    return Pressure(level, gap_penalty * (1 + MOST_PENALTY * level), 0.0 if is_open else MOST_FLOOR * level)


def penalised(score: float, gap: float, penalty: float) -> float:
    """The value of a trial: a negative gap is luck, and earns nothing."""
    return score - penalty * max(gap, 0.0)
