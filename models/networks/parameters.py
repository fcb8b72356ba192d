"""The parameters of networks: which values they may have."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from models.base.protocol import ModelSettingsError

Accepted = tuple[Callable[[Any], bool], str]
"""Whether a value will do, and in words which ones do."""


def is_whole(value: Any) -> bool:
    """A whole number from 1."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def is_number(value: Any) -> bool:
    """A finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


WHOLE: Accepted = (is_whole, "a whole number from 1")
FROM_ZERO: Accepted = (lambda v: is_number(v) and v >= 0, "a number from 0")
SHARE: Accepted = (lambda v: is_number(v) and 0 <= v < 1, "a number from 0, below 1")
SIZES: Accepted = (
    lambda v: isinstance(v, list) and len(v) > 0 and all(map(is_whole, v)),
    "a list of whole numbers from 1",
)
OF_TRAINING: dict[str, Accepted] = {
    "updates": WHOLE,
    "batch_size": WHOLE,
    "learning_rate": (lambda v: is_number(v) and v > 0, "a number above 0"),
    "weight_decay": FROM_ZERO,
    "clip_norm": FROM_ZERO,
    "correlation_share": (lambda v: is_number(v) and 0 <= v <= 1, "a number from 0 to 1"),
    "seeds": WHOLE,
    "validation_share": (lambda v: is_number(v) and 0 <= v <= 0.5, "a number from 0 to 0.5"),
    "check_every": WHOLE,
    "patience": WHOLE,
    "deterministic": (lambda v: isinstance(v, bool), "true or false"),
}
"""What every network has.

`updates`, `batch_size` (rows), `learning_rate`, `weight_decay`, `check_every`, `patience` and `deterministic` are as in
models/networks/recipe.py; `clip_norm` 0: gradients are not clipped. `correlation_share`: 0 is the network's own loss, 1
the correlation of each era, which takes whole eras in a batch, and between the two is a mix. `seeds`: so many networks
are trained one after the other, and their predictions averaged. `validation_share`: of the eras learnt from, the last,
by which the training is stopped; 0: it is not.
"""
TRAINING_DEFAULTS: dict[str, Any] = {
    "updates": 150,
    "batch_size": 1024,
    "learning_rate": 0.001,
    "weight_decay": 0.01,
    "clip_norm": 0.0,
    "correlation_share": 0.0,
    "seeds": 1,
    "validation_share": 0.0,
    "check_every": 20,
    "patience": 5,
    "deterministic": True,
}
"""Where a kind states nothing else.

Length and `validation_share` are what a search found on eras 0001 to 0395 of shared/market, before every judged one:
of two trials that differ in nothing else, that of 150 updates was better than that of 200 (mlp .0293 and .0280,
autoencoder .0312 and .0259), and stopping by eras that are kept back, which then teach nothing, was worse than both
(.0166 and .0118). On its confirmation eras 0404 to 0537, where nothing had a CORR to speak of, it was the other way
round. See docs/results.md. Batch and rates are a starting point.
"""


def check_parameters(kind: str, accepted: Mapping[str, Accepted], params: Mapping[str, Any]) -> None:
    """Refuse what a kind of network does not know.

    Raises:
        ModelSettingsError: there is no such parameter, or its value will not do.
    """
    for name, value in params.items():
        if name not in accepted:
            raise ModelSettingsError(f"{kind} has no parameter {name!r}", f"use {', '.join(accepted)}")
        accepts, wanted = accepted[name]
        if not accepts(value):
            raise ModelSettingsError(f"{kind}: {name} is {value!r}", f"use {wanted}")
