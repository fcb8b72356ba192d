"""How the code of the features is asked for: who needs which rows, what is refused, what a lost code costs."""

from __future__ import annotations

import logging
from dataclasses import replace

import polars as pl
import pytest
from pydantic import ValidationError

from eraflow.errors import SettingsError
from eraflow.machine.estimate import estimate
from eraflow.machine.failures import StageOutOfMemory
from eraflow.machine.plan import Plan
from eraflow.runs.stage import StageRecord
from eraflow.runs.weekrecord import week_record
from eraflow.settings.models import ModelSettings
from eraflow.settings.run import RunSettings
from models.compression.collapse import LatentCollapseError
from tasks import compress as compressing
from tasks.compress import code_job, code_need, compress, learned_code, spans_of
from tasks.needs import train_need
from tasks.pages.codepage import code_page
from tasks.run import Run
from tasks.search import search_all
from tests.tasks.pages.test_discoverypage import Lost
from tests.tasks.test_features import contract_of, cut_of, features_of

WINDOWS = [
    {"window": "0", "active": 3, "units": 4, "explained": 0.5, "divergence": 2.0, "explained_learnt": 0.6,
     "divergence_learnt": 2.5, "updates": 400},
    {"window": "live", "active": 4, "units": 4, "explained": None, "divergence": None, "explained_learnt": 0.6,
     "divergence_learnt": 2.5, "updates": 400},
]  # fmt: skip


def run_of(home, **settings):
    return Run(RunSettings(profile="sandbox", home=str(home), **settings), home / "run")


def features_with(*models):
    features = features_of(contract_of())
    return replace(features, members={str(at): cut_of(features, model) for at, model in enumerate(models)})


def test_without_one_nothing_is_learnt(tmp_path):
    assert compress(run_of(tmp_path), features_of(contract_of())) is None


def test_every_row_that_some_member_needs_has_a_code():
    features = features_with(
        ModelSettings(), ModelSettings(target="target_aux_60"), ModelSettings(target="target_aux_20")
    )
    spans = spans_of(features, list(features.members.values()))
    assert len(spans) == len(features.windows) + 1
    for member in features.members.values():
        for window, (first, last) in zip(member.windows, spans, strict=False):
            assert first <= window.train[0] <= window.test[-1] == last
        assert spans[-1][0] <= member.final_eras[0] <= member.final_eras[-1] <= spans[-1][1]
    assert spans[-1] == ("0001", "0208")


def test_the_settings_are_what_the_stage_takes(tmp_path):
    asked = {"code": "vae", "code_use": "instead", "code_size": 5, "code_hidden": [7, 6], "code_updates": 9}
    run, features = run_of(tmp_path, data=asked), features_with(ModelSettings())
    job = code_job(run, features)
    assert (job.recipe.size, job.recipe.hidden, job.recipe.updates) == (5, (7, 6), 9)
    assert (job.recipe.beta, job.recipe.warmup) == (0.5, 0.3)
    assert job.windows == features.windows
    record = StageRecord(
        name="vae", folder=str(tmp_path), signature="s", files={}, metrics={"size": 5, "windows": WINDOWS}
    )
    code = learned_code(run, job, record)
    assert (code.use, code.labels, code.spans) == ("instead", ("0", "1", "2", "live"), job.spans)


def test_the_estimates_count_the_codes(tmp_path):
    run, features = run_of(tmp_path, data={"code": "vae", "code_size": 64}), features_with(ModelSettings())
    job = code_job(run, features)
    need = code_need(features, job)
    assert need.weights == 2 * 3 * 256 + 3 * 256 * 64
    rows = sum(100 * (int(last) - int(first) + 1) for first, last in job.spans)
    assert estimate(need, Plan()).disk_mb == pytest.approx(16 + 64 * rows / 2**20, rel=0.01)
    member = features.members["0"]
    record = StageRecord(name="vae", folder=str(tmp_path), signature="s", files={}, metrics={})
    beside = learned_code(run, job, record)
    usual, more, alone = (train_need(features, member, code) for code in (None, beside, replace(beside, use="instead")))
    assert (usual.columns, more.columns, alone.columns) == (3, 67, 64)
    assert more.cost.disk_value == usual.cost.disk_value + 1
    assert alone.cost == usual.cost


def test_what_makes_no_sense_together_is_refused(tmp_path):
    both = {"data": {"code": "vae", "code_use": "instead"}, "selection": {"method": "association"}}
    with pytest.raises(ValidationError, match=r"leaves no features for selection\.method=association"):
        run_of(tmp_path, **both)
    run_of(tmp_path, **{**both, "data": {"code": "vae"}})
    with pytest.raises(SettingsError, match=r"data\.code=vae"):
        search_all(run_of(tmp_path, data={"code": "vae"}), features_of(contract_of()))
    for wrong in ({"code_hidden": []}, {"code_hidden": [0]}, {"code_beta": -1}, {"code_size": 0}, {"code": "pca"}):
        with pytest.raises(ValidationError):
            run_of(tmp_path, data=wrong)


@pytest.fixture
def told(monkeypatch):
    heard = []
    monkeypatch.setattr(compressing, "tell_people", lambda _run, subject, _text: heard.append(subject))
    monkeypatch.setattr(compressing, "get_run_logger", lambda: logging.getLogger("test"))
    return heard


def test_a_lost_code_costs_itself_and_a_collapse_ends_the_week(tmp_path, monkeypatch, told):
    run = run_of(tmp_path, data={"code": "vae"})
    run.path.mkdir()
    lost = StageOutOfMemory("too little memory", "give more")
    monkeypatch.setattr(compressing, "_compress", lambda *_, **__: Lost(lost))
    assert compress(run, None) is None
    assert week_record(run.path)["lost_code"]["code"] == "out_of_memory"
    assert told == ["Eraflow: the code of the features is lost, models learn from the features"]
    monkeypatch.setattr(compressing, "_compress", lambda *_, **__: Lost(LatentCollapseError("nothing", "lower it")))
    with pytest.raises(LatentCollapseError):
        compress(run, None)
    assert len(told) == 1


def test_the_page_tells_windows_groups_blocks_and_a_partial_collapse(tmp_path):
    record = StageRecord(name="vae", folder=str(tmp_path), signature="s", files={}, metrics={"windows": WINDOWS})
    eras = [{"window": 0, "era": f"{era:04d}", "explained": era / 100, "divergence": 2.0} for era in range(27, 79)]
    pl.DataFrame(eras).write_csv(record.path / "eras.csv")
    groups = [
        {"window": window, "group": "wisdom", "features": 2, "explained": explained, "divergence": 1.0}
        for window, explained in ((0, 0.25), (1, 0.75))
    ]
    pl.DataFrame(groups).write_csv(record.path / "groups.csv")
    page = code_page(record)
    assert "Partly collapsed" in page
    assert "window 0 3 of 4 active" in page
    assert "window live" not in page
    assert "| wisdom | 2 | 0.5 | 1 |" in page
    assert page.count("0027-0052") == page.count("0053-0078") == 1
    whole = replace(record, metrics={"windows": WINDOWS[1:]})
    assert "Partly" not in code_page(whole)
