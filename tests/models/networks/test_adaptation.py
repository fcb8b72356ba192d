"""Adapters: merged where they help, not where they learnt noise; nothing leaks; kills cost no bit."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

from eraflow.scoring.metrics import era_corr
from eraflow.scoring.ranking import EraGroups
from models.base.libraries import MissingLibraryError
from models.base.protocol import ModelSettingsError
from models.kinds import load_model, make_model
from models.training.refusals import try_members
from tests.models.networks.adaptedfits import ROWS, adapt, digest, drifted, forgive, meaningless, world
from tests.models.networks.killedfits import Killed, dies_at, updates_seen
from tests.models.planted import fast, plant

pytest.importorskip("torch")
pytest.importorskip("peft")


@pytest.fixture(scope="module")
def planted():
    return world()


@pytest.fixture(scope="module")
def adapted(planted):
    """A model of a world that has turned round."""
    return adapt(planted, drifted(planted))


def test_a_world_that_has_changed_is_learnt_and_merged(adapted):
    told = adapted.adaptation
    assert told["merged"]
    assert told["lower_bound"] > told["margin"] == 0.001
    assert (told["base_eras"], told["base_last_era"], told["age_eras"]) == (["0001", "0024"], "0024", 36)
    assert (told["adapter_eras"], told["judged_eras"], told["eras"]) == (["0021", "0040"], ["0049", "0060"], 12)
    fresh = plant(eras=12, rows=ROWS, noise=1.0, seed=5)
    groups = EraGroups.from_sizes([ROWS] * 12)
    assert era_corr(adapted.predict(fresh.x), 1 - fresh.y, groups).mean() > 0.2


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_noise_is_not_merged_and_the_base_comes_out(planted, tmp_path, seed, monkeypatch):
    model = adapt(planted, meaningless(planted, seed), folder=tmp_path, seed=seed)
    assert not model.adaptation["merged"]
    assert model.adaptation["lower_bound"] <= 0.001
    (kept,) = tmp_path.glob("*/model.json")
    assert digest(model) == digest(load_model(kept.parent))


def test_a_margin_that_is_not_cleared_keeps_the_base(planted):
    """The same adapters as those that are merged, with a margin above their bound."""
    model = adapt(planted, drifted(planted), merge_margin=2.0)
    assert not model.adaptation["merged"]
    assert model.adaptation["lower_bound"] > 0.1
    fresh = plant(eras=12, rows=ROWS, noise=1.0, seed=5)
    groups = EraGroups.from_sizes([ROWS] * 12)
    assert era_corr(model.predict(fresh.x), fresh.y, groups).mean() > 0.2


def test_neither_base_nor_adapters_know_what_judges_them(planted, monkeypatch):
    """Other targets in the judged eras and in the purge before them: the adapted weights are the same."""
    forgive(monkeypatch, merge=True)
    later = planted.era > 40
    y = drifted(planted)
    first = adapt(planted, y)
    second = adapt(planted, np.where(later, planted.shuffled_within_eras(9).y, y))
    assert digest(first) == digest(second)
    assert first.adaptation["lower_bound"] != second.adaptation["lower_bound"]
    forgive(monkeypatch, merge=False)
    assert digest(adapt(planted, y)) != digest(first)


def test_adapters_and_their_judgement_change_no_base(planted):
    """Whatever comes after the base's last era, it is the same."""
    models = [adapt(planted, y, lora_updates=8, lora_rank=2) for y in (planted.y, drifted(planted))]
    assert models[0].adaptation["base"] == models[1].adaptation["base"]


@pytest.mark.parametrize("update", [30, 80])
def test_killed_and_resumed_gives_the_bytes_of_an_uninterrupted_fit(planted, adapted, tmp_path, monkeypatch, update):
    """Killed while the base is trained, and while the adapters are: that is update 16 of theirs."""
    bases, checkpoints = tmp_path / "bases", tmp_path / "checkpoints"
    with monkeypatch.context() as patch:
        if update < 64:
            dies_at(patch, update)
        else:
            adapt(planted, drifted(planted), folder=bases)  # the base is there
            dies_at(patch, update - 64)
        with pytest.raises(Killed):
            adapt(planted, drifted(planted), folder=bases, checkpoints=checkpoints)
    seen = updates_seen(monkeypatch)
    model = adapt(planted, drifted(planted), folder=bases, checkpoints=checkpoints)
    assert digest(model) == digest(adapted)
    assert model.adaptation == adapted.adaptation
    assert seen[0] == (24 if update < 64 else 16)


def test_saved_and_loaded_without_torch_and_peft(planted, adapted, tmp_path):
    adapted.save(tmp_path)
    assert json.loads((tmp_path / "model.json").read_text())["adaptation"] == adapted.adaptation
    assert load_model(tmp_path).adaptation == adapted.adaptation
    np.save(tmp_path / "x.npy", planted.x[:300])
    code = f"""
import sys, numpy as np
sys.modules.update(dict.fromkeys(("torch", "transformers", "peft", "accelerate", "scipy")))
from pathlib import Path
from models.kinds import load_model
folder = Path({str(tmp_path)!r})
sys.stdout.buffer.write(load_model(folder).predict(np.load(folder / "x.npy")).tobytes())
"""
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout
    assert told == adapted.predict(planted.x[:300]).tobytes()


def test_several_networks_across_the_era_are_adapted_one_by_one(planted, monkeypatch):
    found = []
    for merge in (False, True):
        forgive(monkeypatch, merge=merge)
        size = {"updates": 8, "lora_updates": 8, "points": 4, "seeds": 2}
        found.append(adapt(planted, drifted(planted), across="era", **size).networks)
    for base, adapted in zip(*found, strict=True):
        changed = {name for name in base if not np.array_equal(base[name], adapted[name])}
        assert {"head.weight", "gather.query.weight", "encoder.encoder.layer.0.output.dense.weight"} <= changed
        assert not {"projection", "points", "encoder.embeddings.position_embeddings.weight"} & changed


def test_too_few_eras_make_a_base_and_say_so():
    few = world(eras=15)
    model = adapt(few, updates=16)
    assert model.adaptation["base_last_era"] == "0012"  # of a grid that was halved
    assert model.adaptation["why"] == "too few eras to keep some back for a judgement"
    assert not model.adaptation["merged"]


def test_a_judgement_on_too_few_eras_merges_nothing(planted):
    model = adapt(planted, drifted(planted), judge_eras=6, lora_updates=8, updates=16)
    assert (model.adaptation["merged"], model.adaptation["lower_bound"]) == (False, None)
    assert "6 judged eras are too few" in model.adaptation["why"]


def test_adapters_that_cannot_be_trained_leave_the_base(planted):
    model = adapt(planted, lora_learning_rate=1e30, updates=16)
    assert not model.adaptation["merged"]
    assert "could not be trained" in model.adaptation["why"]


def test_without_peft_the_error_comes_before_any_training(planted, monkeypatch):
    monkeypatch.setitem(sys.modules, "peft", None)
    seen = updates_seen(monkeypatch)
    with pytest.raises(MissingLibraryError, match=r"missing_library: .*eraflow\[networks\]"):
        adapt(planted)
    assert seen == []


def test_without_peft_a_week_is_refused_before_it_begins(monkeypatch):
    wanted = [{"kind": "transformer", "params": {"adapt": "lora"}, "source": ""}]
    try_members(models=wanted)
    monkeypatch.setattr("models.networks.transformer.find_spec", lambda name: None)
    with pytest.raises(MissingLibraryError, match="adapt=lora needs PEFT"):
        try_members(models=wanted)
    try_members(models=[{**wanted[0], "params": {}}])


@pytest.mark.parametrize(
    ("params", "named"),
    [
        ({"adapt": "qlora"}, "none or lora"),
        ({"lora_rank": 8}, "set adapt to lora"),
        ({"adapt": "lora", "lora_rank": 0}, "lora_rank"),
        ({"adapt": "lora", "merge_margin": -0.1}, "merge_margin"),
    ],
)
def test_a_wrong_parameter_is_named(params, named):
    with pytest.raises(ModelSettingsError, match=named):
        make_model("transformer", params)


def test_a_transformer_that_adapts_nothing_is_as_it_was():
    usual = make_model("transformer", fast("transformer")).params
    assert make_model("transformer", {**fast("transformer"), "adapt": "none"}).params == usual
    assert not {"adapt", "lora_rank", "base_eras", "merge_margin"} & usual.keys()
