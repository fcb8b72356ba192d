"""How many weights a network has, for what is expected of the memory: counted without torch, before anything starts."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

USUAL_HIDDEN = (256, 256)


def of_layers(params: Mapping[str, Any], columns: int) -> int:
    """Weights of fully connected layers with these hidden sizes, one number coming out.

    A wrong value is named where the model is made; here the usual sizes stand in for it.
    """
    hidden = params.get("hidden", USUAL_HIDDEN)
    if not isinstance(hidden, list | tuple) or not all(isinstance(size, int) for size in hidden):
        hidden = USUAL_HIDDEN
    sizes = [columns, *hidden, 1]
    return sum(before * after for before, after in pairwise(sizes))
