"""The stage: no window learns from what it is judged on, a kill costs nothing, and what goes wrong has a name."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from eraflow.disk.digest import file_sha256
from eraflow.machine.failures import StageError, StageNaN
from eraflow.machine.plan import next_plan
from models.compression.codedstore import codes_file, encoder_folder
from models.compression.collapse import CodeHealth, LatentCollapseError
from models.compression.encoder import Encoder
from models.compression.stage import LeakingCodeError, learn_codes
from tests.models.compression.factors import job_of
from tests.models.planted import PLAN

pytest.importorskip("torch")
killedfits = pytest.importorskip("tests.models.networks.killedfits")
BatchGradient = pytest.importorskip("models.networks.gradient").BatchGradient


def content(folder):
    """Every byte that decides what members see."""
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.suffix in (".npy", ".csv"))
    return {name: file_sha256(folder / name) for name in names}


def signatures(folder):
    return {label: Encoder.load(encoder_folder(folder, label)).signature for label in ("0", "1", "live")}


def test_factors_are_found_and_told_out_of_sample(coded):
    assert [told["window"] for told in coded.metrics["windows"]] == ["0", "1", "live"]
    for told in coded.metrics["windows"][:2]:
        assert told["explained"] > 0.35
        assert told["explained_learnt"] == pytest.approx(told["explained"], abs=0.1)
        assert told["divergence"] > 1
    live = coded.metrics["windows"][2]
    assert (live["explained"], live["updates"]) == (None, 60)
    eras = pl.read_csv(coded.folder / "eras.csv", schema_overrides={"era": pl.String})
    assert eras["era"].to_list() == list(coded.store.eras[30:])
    groups = pl.read_csv(coded.folder / "groups.csv")
    assert groups.filter(window=0)["group"].to_list() == ["first", "second", "others"]
    assert groups.filter(window=0)["features"].to_list() == [4, 2, 6]
    assert (groups.filter(group="others")["divergence"] > 0.1).all()
    assert (groups["explained"] > 0.3).all()
    assert not (coded.folder / "checkpoints").exists()


def test_the_figures_are_what_they_are_called(coded):
    """Of one era, by the plain definition, from the codes of the encoder's own means."""
    from models.compression.fitting import fit_code
    from models.compression.vaearrays import code_moments, divergence, reconstruction

    window = coded.job.windows[0]
    fitted = fit_code(
        coded.store, window.train, coded.job.recipe, plan=PLAN, seed=7, who="it", checkpoints=None, progress=None
    )
    seen = coded.store.matrix(window.train).astype(float)
    x = (coded.store.matrix([window.test[0]]) - 2.0) * np.sqrt(0.5)
    means, spread = code_moments(fitted.weights, x.astype(np.float32))
    wrong = np.square(reconstruction(fitted.weights, means) - x).sum()
    whole = np.square(x - (seen.mean(axis=0) - 2) * np.sqrt(0.5)).sum()
    from models.compression.figures import era_figures

    [(_, told)] = era_figures(fitted.weights, coded.store, [window.test[0]], fitted.means, threads=2)
    assert told.explained() == pytest.approx(1 - wrong / whole, abs=1e-4)
    assert told.divergences.sum() == pytest.approx(divergence(means, spread).sum(axis=1).mean(), rel=1e-4)


def test_other_rows_in_the_judged_eras_change_nothing_in_the_encoder(coded, tmp_path):
    windows = coded.job.windows
    x = coded.planted.x.copy()
    later = coded.planted.era > int(windows[0].train[-1])
    x[later] = 4 - x[later][:, ::-1]
    store = replace(coded.planted, x=x).store(tmp_path / "store")
    learn_codes(replace(coded.job, store=store.path), tmp_path / "vae", PLAN)
    mine, theirs = signatures(tmp_path / "vae"), signatures(coded.folder)
    assert mine["0"] == theirs["0"]
    assert mine["1"] != theirs["1"]
    assert mine["live"] != theirs["live"]
    before = np.load(codes_file(coded.folder, "0"))[~later[: 45 * 60]]
    assert np.array_equal(np.load(codes_file(tmp_path / "vae", "0"))[~later[: 45 * 60]], before)


def test_targets_are_not_looked_at(coded, tmp_path):
    store = replace(coded.planted, y=np.full(len(coded.planted.y), np.nan)).store(tmp_path / "store")
    learn_codes(replace(coded.job, store=store.path), tmp_path / "vae", PLAN)
    assert signatures(tmp_path / "vae") == signatures(coded.folder)


def test_a_window_that_leaks_is_refused(coded, tmp_path):
    window = coded.job.windows[0]
    leaking = replace(window, train=(*window.train, window.test[0]))
    with pytest.raises(LeakingCodeError, match="window 0"):
        learn_codes(replace(coded.job, windows=(leaking,)), tmp_path, PLAN)


def test_codes_are_of_the_rows_of_the_span(coded):
    encoder = Encoder.load(encoder_folder(coded.folder, "1"))
    codes = np.load(codes_file(coded.folder, "1"))
    assert np.array_equal(codes, encoder.codes(coded.store.matrix()))
    assert len(np.load(codes_file(coded.folder, "0"))) == 45 * 60


@pytest.mark.parametrize("plan", [replace(PLAN, threads=3), replace(PLAN, rows_in_memory=500, low_memory=True)])
def test_the_plan_changes_no_byte(coded, tmp_path, plan):
    learn_codes(coded.job, tmp_path, plan)
    assert content(tmp_path) == content(coded.folder)


@pytest.mark.parametrize("at", [10, 50])
def test_a_killed_training_goes_on_to_the_same_bytes(coded, tmp_path, monkeypatch, at):
    with monkeypatch.context() as patch:
        killedfits.dies_at(patch, at)
        with pytest.raises(killedfits.Killed):
            learn_codes(coded.job, tmp_path, PLAN)
    seen = killedfits.updates_seen(monkeypatch)
    learn_codes(coded.job, tmp_path, PLAN)
    assert content(tmp_path) == content(coded.folder)
    assert seen[0] == at // 20 * 20  # a checkpoint is written every twenty updates


def test_finished_windows_are_found_again_and_damaged_ones_made_anew(coded, tmp_path, monkeypatch):
    out = shutil.copytree(coded.folder, tmp_path / "vae")
    damaged = bytearray(codes_file(out, "1").read_bytes())
    damaged[-1] ^= 1
    codes_file(out, "1").write_bytes(damaged)
    before = os.stat(codes_file(out, "0")).st_mtime_ns
    seen = killedfits.updates_seen(monkeypatch)
    learn_codes(coded.job, out, PLAN)
    assert seen == list(range(60))
    assert content(out) == content(coded.folder)
    assert os.stat(codes_file(out, "0")).st_mtime_ns == before
    seen.clear()
    learn_codes(replace(coded.job, seed=8), out, PLAN)
    assert len(seen) == 3 * 60


def test_a_code_that_collapses_is_named_with_what_to_do(coded, tmp_path):
    job = job_of(coded.store, recipe={"beta": 1e4, "warmup": 0.0, "updates": 150})
    with pytest.raises(
        LatentCollapseError,
        match=r"code of window 0 says nothing.*0 of 5 units.*data.code_beta=10000.*lower data.code_beta",
    ) as caught:
        learn_codes(job, tmp_path, PLAN)
    assert caught.value.code == "latent_collapse"
    assert not list(tmp_path.glob("codes-*"))


def test_units_that_say_nothing_are_counted_and_silent(coded, tmp_path):
    """Three factors need no more than a few of twelve units, when the divergence costs something."""
    job = job_of(coded.store, recipe={"size": 12, "beta": 3.0, "updates": 200}, windows=())
    job = replace(job, spans=job.spans[-1:])
    [told] = learn_codes(job, tmp_path, PLAN)["windows"]
    assert 0 < told["active"] < told["units"] == 12
    codes = np.load(codes_file(tmp_path, "live"))
    assert ((codes == 2).all(axis=0)).sum() == 12 - told["active"]


@pytest.mark.parametrize(
    ("divergences", "explained", "collapsed"),
    [([0.5, 0.001], 0.3, False), ([0.5, 0.001], 0.001, True), ([0.009, 0.001], 0.3, True)],
)
def test_collapse_is_no_active_unit_or_no_better_than_the_mean(divergences, explained, collapsed):
    health = CodeHealth(np.array(divergences), explained)
    if not collapsed:
        health.check("it", 0.5)
        assert health.active == (True, False)
        return
    with pytest.raises(LatentCollapseError):
        health.check("it", 0.5)


def test_too_little_memory_is_answered_with_less_at_once_and_the_same_bytes(coded, tmp_path, monkeypatch):
    original, failed = BatchGradient._one, []

    def short(self, piece, step):
        if step == 3 and self.in_flight.pieces > 1:
            failed.append(step)
            raise MemoryError
        return original(self, piece, step)

    monkeypatch.setattr(BatchGradient, "_one", short)
    learn_codes(coded.job, tmp_path, replace(PLAN, threads=4))
    assert failed
    assert content(tmp_path) == content(coded.folder)


def test_nan_is_named_and_the_ladder_gets_past_it(coded, tmp_path, monkeypatch):
    """A gradient that is spoilt at the asked rate; the next plan, with a lower one, ends the work."""
    computed = BatchGradient._computed

    def spoilt(self, own, piece):
        result = computed(self, own, piece)
        if plans[-1].rate_factor == 1:
            result.gradients[0][0, 0] = float("nan")
        return result

    monkeypatch.setattr(BatchGradient, "_computed", spoilt)
    plans, failures = [PLAN], []
    with pytest.raises(StageNaN, match="code of window 0 is nan at update 0"):
        learn_codes(coded.job, tmp_path, plans[0])
    failures.append("nan")
    plans.append(next_plan(PLAN, failures))
    told = learn_codes(coded.job, tmp_path, plans[-1])
    assert told["windows"][0]["explained"] > 0.05


def test_an_absurd_weight_of_nothing_is_no_number(coded, tmp_path):
    with pytest.raises(StageError):
        learn_codes(job_of(coded.store, recipe={"beta": 1e38, "warmup": 0.0}), tmp_path, PLAN)
