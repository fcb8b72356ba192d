"""What is searched for networks, and every range with its reason.

Sources of the ranges: the papers and packages of each kind, and a study of some 25 configurations on weekly equities in
tournament layout. That study chose on the eras that it judged, so what it found best is no result; it tells where the
interesting region lies, and its recipes are starting points. Everything in it peaked after 100 to 300 updates of 1,024
rows and then lost half of its score; dropout and the number of updates decided, loss and width were of second order.

Not searched, with reasons: the size of a batch (with the rate free it changes little but the time), early stopping (the
number of updates is searched on folds of whole eras, which sees more of them, and nothing has to be kept back of the
eras learnt from), the clipping of gradients, and the seeds.
"""

from __future__ import annotations

from typing import Any

from models.base.ranges import Range

SEARCHED_WITH: dict[str, Any] = {"validation_share": 0.0}
"""Instead of stopping by eras that are kept back, a network that was searched is trained for as long as was found."""


def of_training(rate: float) -> tuple[Range, ...]:
    """What every network has; `rate` is the learning rate of the unsearched model."""
    return (
        Range(
            "updates", 60, 800, "all that was tried was best after 100 to 300; more only with a low rate", integer=True
        ),
        Range("learning_rate", rate / 5, rate * 5, "a fifth of the unsearched model's to five times as much"),
        Range(
            "weight_decay",
            0.001,
            1.0,
            "AdamW's own default is .01; in a few hundred updates little decays below .1",
            regulariser=True,
        ),
        Range(
            "correlation_share",
            0.0,
            1.0,
            "squared error, the correlation of each era, or a mix; below .2 it is the squared error alone, whose "
            "batches are rows and not eras",
            log=False,
            zero_below=0.2,
        ),
    )


def dropout(low: float, high: float) -> Range:
    """The share of units that are dropped."""
    return Range(
        "dropout",
        low,
        high,
        "one half served perceptrons, .1 lost half of the score; where attention mixes, less is dropped",
        log=False,
        regulariser=True,
    )


def hidden(layers: int) -> Range:
    """The size of the hidden layers, all alike."""
    return Range(
        "hidden", 64, 512, "smaller ones learnt too little, larger ones no more", integer=True, repeated=layers
    )
