"""Targets that a network learns beside its own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class FurtherTargets:
    """What a fit is given beside the target that it predicts.

    Attributes:
        values: float32[n, k], of the rows of x; NaN where one is not known, and where nothing is learnt.
        weights: float[k], of each in the loss; that of the own target is 1.
    """

    values: npt.NDArray[np.float32]
    weights: tuple[float, ...]
