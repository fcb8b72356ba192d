"""The training stage of a member that adapts a base: windows and weeks share bases, and none reaches what is judged."""

from __future__ import annotations

from dataclasses import replace

import pytest

from eraflow.disk.digest import file_sha256
from models.base.predictions import read_out_of_fold
from models.kinds import load_model
from models.training.folds import LeakingWindowError
from models.training.job import KeptBases
from models.training.train import train_model
from tests.models.conftest import member, training
from tests.models.planted import windows_of

pytest.importorskip("torch")
pytest.importorskip("peft")

SMALL = {
    "updates": 16, "lora_updates": 8, "adapt": "lora", "base_eras": 8, "adapt_eras": 10, "judge_eras": 12,
}  # fmt: skip


def job_of(week, out, bases, *, first=48, folds=2):
    windows = windows_of(week.store.eras, first=first, folds=folds)
    given = training(week.store, out, member("transformer", **SMALL), windows=windows)
    return {**given, "job": replace(given["job"], bases=bases)}


@pytest.fixture(scope="module")
def stages(week, tmp_path_factory):
    """The same work without a store of bases, with one, and with what that one has left."""
    folder = tmp_path_factory.mktemp("adapted")
    kept = KeptBases(folder / "bases", "c")
    found = {}
    for name, bases in (("without", None), ("first", kept), ("second", kept)):
        found[name] = (folder / name, train_model(**job_of(week, folder / name, bases)))
    return found


def told(stages, name, key):
    adaptation = stages[name][1]["adaptation"]
    return [fit[key] for fit in (*adaptation["windows"], adaptation["live"])]


def test_a_base_serves_the_windows_after_it_and_live_until_the_grid_moves_on(stages):
    assert told(stages, "first", "base_last_era") == ["0016", "0024", "0040"]
    assert told(stages, "first", "age_eras") == [24, 22, 20]
    assert told(stages, "first", "base_reused") == [False, False, False]
    assert told(stages, "second", "base_reused") == [True, True, True]
    assert told(stages, "second", "base") == told(stages, "first", "base")


def test_where_bases_are_kept_changes_no_byte(stages):
    for name in ("oof.parquet", "model/weights.npy", "model/model.json", "learning-live.csv"):
        hashes = {file_sha256(folder / name) for folder, _ in stages.values()}
        assert len(hashes) == 1, name


def test_the_folder_for_live_tells_of_its_base(stages):
    folder, metrics = stages["first"]
    live = metrics["adaptation"]["live"]
    described = load_model(folder / "model").adaptation
    assert described == {name: value for name, value in live.items() if name in described}
    assert {"base", "base_last_era", "age_eras", "merged", "lower_bound", "why"} <= described.keys()


def test_a_stage_that_goes_on_tells_the_same_of_the_folds_that_it_keeps(week, stages):
    folder, before = stages["second"]
    again = train_model(**job_of(week, folder, None))
    assert again["folds_reused"] == 2
    assert again["adaptation"]["windows"] == before["adaptation"]["windows"]


def test_the_future_changes_nothing_in_a_window(week, stages, tmp_path):
    """Other targets in the judged eras, in the purge before them and after."""
    windows = windows_of(week.store.eras, first=48, folds=2)
    later = week.planted.era > int(windows[0].train[-1])
    y = week.planted.y.copy()
    y[later] = 1 - y[later]
    store = type(week.planted)(week.planted.x, y, week.planted.era).store(tmp_path / "store")
    given = training(store, tmp_path / "out", member("transformer", **SMALL), windows=windows[:1])
    train_model(**given)
    found = read_out_of_fold(tmp_path / "out" / "fold-0.parquet").values
    assert found.tobytes() == read_out_of_fold(stages["first"][0] / "fold-0.parquet").values.tobytes()


def test_a_base_that_reaches_into_the_purge_is_refused(week, tmp_path, monkeypatch):
    from models.networks.transformer import TransformerModel

    take = TransformerModel._take

    def tampered(self, found):
        take(self, found)
        self.adaptation["base_last_era"] = "0041"  # judged is from 0049 on, the purge is eight weeks

    monkeypatch.setattr(TransformerModel, "_take", tampered)
    with pytest.raises(LeakingWindowError, match="base has learnt up to era 0041"):
        train_model(**job_of(week, tmp_path, None, folds=1))
