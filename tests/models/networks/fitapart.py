"""A training in a process of its own, which tells each update, so that it can be killed after any of them."""

from __future__ import annotations

import hashlib
from contextlib import suppress

import numpy as np
import torch

from models.base.wholeeras import FitEras, fit_in_eras
from models.kinds import make_model
from models.networks.gradient import BatchGradient
from models.networks.weightfile import to_bytes
from tests.models.planted import PLAN, fast, plant

ERAS, ROWS, UPDATES = 30, 60, 64


def model_of(name, checkpoints=None, **params):
    """A small network of this name, which may state a parameter: `transformer across=era`."""
    kind, _, stated = name.partition(" ")
    key, _, value = stated.partition("=")
    named = {key: value} if key else {}
    usual = {"updates": UPDATES, "batch_size": 300, "check_every": 8, "validation_share": 0.0}
    return make_model(kind, {**fast(kind), **usual, **named, **params}, checkpoints=checkpoints)


def fit_apart(name, checkpoints, result, told):
    """Train, and write the sha256 of the weights.

    Args:
        name: see `model_of`.
        checkpoints: folder of the training.
        result: file.
        told: a connection for the number of each update before it is computed.
    """
    torch.set_num_threads(1)
    of = BatchGradient.of

    def telling(self, batch, at):
        with suppress(BrokenPipeError):
            told.send(at)
        return of(self, batch, at)

    BatchGradient.of = telling
    model, planted = model_of(name, checkpoints), plant(eras=ERAS, rows=ROWS)
    eras = FitEras(np.arange(0, ERAS * ROWS + 1, ROWS), np.arange(1, ERAS + 1), 4)
    fit_in_eras(model, planted.x, planted.y, eras, plan=PLAN, seed=3)
    result.write_text(hashlib.sha256(to_bytes(model._all_weights())).hexdigest())
