"""A small world of sixty eras for adaptations: base up to era 24, adapters on 21 to 40, judged on 49 to 60."""

from __future__ import annotations

import hashlib

import numpy as np

from models.base.wholeeras import FitEras, fit_in_eras
from models.kinds import make_model
from models.networks.basestore import BaseStore
from models.networks.weightfile import to_bytes
from tests.models.planted import PLAN, fast, plant

ROWS = 40
LAST_BASE = 24
LENGTHS = {"base_eras": 24, "adapt_eras": 20, "judge_eras": 12}
PARAMS = {
    **fast("transformer"), "updates": 64, "adapt": "lora", "lora_updates": 40, "lora_learning_rate": 0.01, **LENGTHS,
}  # fmt: skip


def world(eras=60, seed=0, noise=1.0):
    """Rows whose target has one meaning in all eras."""
    return plant(eras=eras, rows=ROWS, noise=noise, seed=seed)


def drifted(planted):
    """The meaning of the target is turned round after the base's last era."""
    return np.where(planted.era > LAST_BASE, 1 - planted.y, planted.y)


def meaningless(planted, seed=1):
    """After the base's last era the targets are dealt out by chance."""
    return np.where(planted.era > LAST_BASE, planted.shuffled_within_eras(seed).y, planted.y)


def eras_of(planted):
    weeks = np.unique(planted.era)
    return FitEras(np.arange(0, len(planted.y) + 1, ROWS), weeks.astype(np.int64), 8)


def adapt(planted, y=None, *, folder=None, seed=3, checkpoints=None, code="c", **params):
    """A fitted model; bases are kept in `folder`."""
    store = BaseStore(folder, code, 11)
    model = make_model("transformer", {**PARAMS, **params}, checkpoints=checkpoints, bases=store)
    fit_in_eras(model, planted.x, planted.y if y is None else y, eras_of(planted), plan=PLAN, seed=seed)
    return model


def digest(model):
    return hashlib.sha256(b"".join(map(to_bytes, model.networks))).hexdigest()


def forgive(monkeypatch, *, merge):
    """Merge, or do not, whatever the judgement."""
    from models.networks import adaptation
    from models.networks.adaptationjudgement import judge

    def forced(*given, **named):
        return {**judge(*given, **named), "merged": merge, "why": "forced"}

    monkeypatch.setattr(adaptation, "judge", forced)
