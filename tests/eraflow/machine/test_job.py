"""A job crosses the pipe and comes out equal; its fields say what is part of the signature."""

import json
from dataclasses import dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import Annotated

import pytest
from pydantic import ValidationError

from eraflow.data.datafiles import DataFiles
from eraflow.data.eras import Window
from eraflow.data.membereras import Member
from eraflow.discovery.stage import SelectJob
from eraflow.erastore.stage import FeaturesJob
from eraflow.machine.job import How, HowOf, as_json, decided, from_json, stage_function
from eraflow.machine.plan import Plan
from eraflow.numerai.inspection import LiveJob, RoundJob
from eraflow.scoring.backtest import BacktestJob
from eraflow.scoring.neutralise import Neutralisation
from eraflow.scoring.payout import Payout
from eraflow.settings.data import DataSettings
from eraflow.settings.search import SearchSettings
from eraflow.settings.selection import SelectionSettings
from models.ensembles.job import BlendJob
from models.prediction.job import PredictJob
from models.search.folds import SearchEras
from models.search.job import Learnt, SearchJob
from models.training.job import ImportanceSample, KeptBins, TrainJob
from tests.tasks.test_features import contract_of

STORE = Path("/a/store")
WINDOWS = (Window(0, ("0001", "0002"), ("0012", "0013"), 8),)
MEMBER = Member("lightgbm", "mine", {"depth": [3, None], "rate": 0.1}, "target_a_20", WINDOWS, ("0001", "0020"))
FILES = DataFiles(*(Path(name) for name in ("features.json", "train.parquet", "validation.parquet", "live.parquet")))
NEUTRAL = Neutralisation(0.5, ("feature_a", "feature_b"))
JOBS = [
    RoundJob(
        data=DataSettings(features=["feature_a", "feature_b"]),
        auxiliary=("target_b_60",),
        residual=True,
        files=FILES,
        fresh={"train.parquet": Path("train.parquet")},
        proved=("train.parquet",),
    ),
    LiveJob({"live.parquet": Path("live.parquet")}),
    FeaturesJob(contract_of(), FILES),
    SelectJob(
        windows=WINDOWS,
        final_eras=("0001",),
        target="target_a_20",
        overlap_weeks=5,
        selection=SelectionSettings(method="invariant", models=["mine"]),
        store=STORE,
    ),
    SearchJob(
        kind="lightgbm",
        name="mine",
        params={"depth": 3},
        key="key",
        eras=SearchEras(WINDOWS, WINDOWS[0], 8),
        learn=Learnt("target_a_20"),
        target="target_a_20",
        horizon_days=20,
        payout=Payout(),
        search=SearchSettings(storage="sqlite:///here.db"),
        seed=7,
        store=STORE,
        home=Path("/home"),
    ),
    TrainJob(
        member=replace(MEMBER, benchmark="v1", features=(("feature_a",), ("feature_b",))),
        seed=1,
        store=STORE,
        bins=KeptBins(Path("/bins"), "key", 100),
        importance=ImportanceSample("target_a_20", 400),
    ),
    BlendJob(
        method="rank-gaussian",
        target="target_a_20",
        horizon_days=20,
        data_version="v5.3",
        neutralise=NEUTRAL,
        members={"b": Path("/b"), "a": Path("/a")},
        store=STORE,
    ),
    BacktestJob(
        target="target_a_20",
        horizon_days=20,
        benchmark="v1",
        fnc_features=("feature_a",),
        confidence=0.95,
        neutralisation=NEUTRAL,
        store=STORE,
        predictions={"b": Path("/b"), "a": Path("/a")},
        unneutralised=Path("/c"),
    ),
    PredictJob(Path("/ensemble"), Path("/live.parquet")),
]


@pytest.mark.parametrize("job", JOBS, ids=lambda job: type(job).__name__)
def test_every_job_comes_out_of_the_pipe_as_it_went_in(job):
    sent = json.loads(json.dumps(as_json(job)))
    assert from_json(type(job), sent) == job
    assert is_dataclass(job)
    with pytest.raises(AttributeError):
        setattr(job, fields(job)[0].name, None)


@pytest.mark.parametrize("job", JOBS, ids=lambda job: type(job).__name__)
def test_no_signature_tells_where_something_lies(job):
    """A run folder that was moved, or a home elsewhere, makes nothing new."""
    assert "/" not in json.dumps(decided(job))


def test_a_field_decides_unless_it_is_marked():
    train, search, select = (
        next(job for job in JOBS if isinstance(job, kind)) for kind in (TrainJob, SearchJob, SelectJob)
    )
    assert decided(replace(train, store=Path("/other"), bins=None, importance=None)) == decided(train)
    assert decided(replace(train, seed=2)) != decided(train)
    for name, value in {"params": {}, "features": None, "benchmark": None, "final_eras": ()}.items():
        assert decided(replace(train, member=replace(train.member, **{name: value}))) != decided(train), name
    patient = search.search.model_copy(update={"patience_minutes": 1.0, "storage": None, "models": []})
    assert decided(replace(search, search=patient)) == decided(search)
    assert decided(replace(search, search=search.search.model_copy(update={"trials": 3}))) != decided(search)
    assert decided(replace(select, selection=SelectionSettings(method="invariant"))) == decided(select)
    assert decided(replace(select, selection=SelectionSettings(method="association"))) != decided(select)


def test_the_live_file_and_how_files_are_cut_decide_no_era_store():
    job = FeaturesJob(contract_of(), FILES)
    rows = {"train.parquet": 5, "live.parquet": 7}
    whole = replace(job, contract=replace(job.contract, rows=rows))
    other = replace(whole.contract, live_rows=1, live_era=None, notes=("a",), chunks={"train.parquet": 3})
    assert decided(replace(whole, contract=replace(other, rows={**rows, "live.parquet": 8}))) == decided(whole)
    assert decided(replace(whole, contract=replace(other, rows={**rows, "train.parquet": 6}))) != decided(whole)


@dataclass(frozen=True)
class Small:
    number: int
    place: How[Path]
    table: Annotated[dict[str, int], HowOf(frozenset({"b"}))]


@stage_function(Small)
def small(job: Small, out: Path, plan: Plan) -> dict[str, object]:
    """What it was given."""
    return {"job": job, "out": out, "plan": plan}


def test_a_stage_takes_its_job_from_here_or_from_the_pipe():
    job = Small(1, Path("/x"), {"a": 1, "b": 2})
    assert decided(job) == {"number": 1, "table": {"a": 1}}
    expected = {"job": job, "out": Path("/out"), "plan": Plan(threads=1)}
    assert small(job, Path("/out"), Plan(threads=1)) == expected
    assert small(job=as_json(job), out="/out", plan={"threads": 1}) == expected
    assert small.__doc__ == "What it was given."
    with pytest.raises(ValidationError, match="number"):
        small({"place": "/x", "table": {}}, "/out")
