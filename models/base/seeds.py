"""Seeds of the parts of a work, drawn from the seed of the whole."""

from __future__ import annotations

import numpy as np


def derived_seed(seed: int, position: int) -> int:
    """The seed of one part (a fit, a trial, a network): different for each position, the same in every attempt."""
    return int(np.random.SeedSequence([seed, position]).generate_state(1)[0] >> 1)
