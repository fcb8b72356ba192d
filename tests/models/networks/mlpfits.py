"""A small mlp, and its training."""

from __future__ import annotations

import hashlib

from models.kinds import make_model
from models.networks.weightfile import to_bytes
from tests.models.planted import FAST_MLP, PLAN

UPDATES = 8  # of an epoch: 2,000 rows, 256 at a time


def mlp(checkpoints=None, **params):
    return make_model("mlp", {**FAST_MLP, **params}, checkpoints=checkpoints)


def digest(model):
    return hashlib.sha256(to_bytes(model._weights)).hexdigest()


def fit(data, plan=PLAN, checkpoints=None, progress=None, **params):
    model = mlp(checkpoints, **params)
    model.fit(*data, plan=plan, seed=3, progress=progress)
    return model
