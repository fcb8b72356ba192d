"""Trainings that end, as by a kill, and what is computed when they go on."""

from __future__ import annotations

import pytest

BatchGradient = pytest.importorskip("models.networks.gradient").BatchGradient
trainingrun = pytest.importorskip("models.networks.trainingrun")


class Killed(BaseException):
    pass


def dies_at(monkeypatch, step):
    """A training that ends, as by a kill, in the middle of an update."""
    original = BatchGradient.of

    def dying(self, batch, at):
        if at == step:
            raise Killed
        return original(self, batch, at)

    monkeypatch.setattr(BatchGradient, "of", dying)


def updates_seen(monkeypatch):
    """The numbers of the updates that are computed from now on."""
    seen, original = [], BatchGradient.of
    monkeypatch.setattr(BatchGradient, "of", lambda self, batch, at: (seen.append(at), original(self, batch, at))[1])
    return seen


def dies_in_fit(monkeypatch, number):
    """Killed after forty updates of the fit at this position, wherever it began."""
    from models.training.trainer import Trainer

    fit_one, end_interval = Trainer.fit, trainingrun.TrainingRun._end_interval
    at = []

    def fits(self, eras, position, *others):
        at.append(position)
        return fit_one(self, eras, position, *others)

    def dying(self):
        end_interval(self)
        if at[-1] == number and self._step == 40:
            raise Killed

    monkeypatch.setattr(Trainer, "fit", fits)
    monkeypatch.setattr(trainingrun.TrainingRun, "_end_interval", dying)
