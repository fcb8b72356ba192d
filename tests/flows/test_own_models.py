"""A week with learners from outside of the repository: a class in a file, and one that an installed package offers."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from eraflow.runs.stage import require
from flows.command.cli import main
from flows.daily import daily
from flows.weekly import weekly
from models.kinds import load_model
from tests.models.own.test_ownclass import without
from tests.own_models import RIDGE, WHOLE, install_package, write_model_file
from tests.weeks import tiny

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("prefect_server")]

FAST = {"kind": "lightgbm", "params": {"n_estimators": 30, "learning_rate": 0.1}}


@pytest.fixture(scope="module")
def own(tmp_path_factory, prefect_server):
    """One week that ships a file's class, an installed one that needs whole eras, and LightGBM; the file then goes."""
    folder = tmp_path_factory.mktemp("own")
    file = write_model_file(folder / "user")
    with pytest.MonkeyPatch.context() as patch:
        install_package(folder / "site", patch, kind="relative", module="toy_relative", source=WHOLE, cls="Relative")
        settings = tiny(
            folder / "home",
            run_dir=str(folder / "run"),
            tracking={"enabled": True},
            selection={"importance_rows": 100},
            models=[FAST, {"kind": f"{file}:Ridge", "params": {"penalty": 30}}, {"kind": "relative"}],
        )
        record = weekly(settings)
        file.unlink()
        yield settings, record


def test_it_is_trained_planned_judged_blended_and_shipped(own):
    settings, record = own
    assert record["outcome"] == "submitted", record["error"]
    assert set(record["scores"]) >= {"lightgbm", "ridge", "relative", "blend"}
    for name in ("ridge", "relative"):
        stage = require(Path(settings.run_dir) / f"train-{name}")
        assert stage.peak_mb > 10, "it ran in a child, which was watched"
        assert stage.estimate["raw_mb"] > 190
        assert sorted(Path(settings.run_dir, f"train-{name}").glob("importance-*.parquet"))
    assert record["scores"]["ridge"]["corr"]["mean"] > 0


def test_what_was_shipped_does_not_need_the_file(own, tmp_path, capsys):
    settings, record = own
    ensemble = Path(settings.run_dir) / "blend" / "ensemble"
    members = json.loads((ensemble / "ensemble.json").read_text())["members"]
    assert sorted(member["kind"] for member in members) == [
        "lightgbm",
        "mine.py:Ridge",
        "relative",
    ]
    told = daily(settings.model_copy(update={"run_dir": str(tmp_path / "daily"), "models": settings.models[:1]}))
    assert told["outcome"] == "submitted", told["error"]
    assert told["submission"]["file"]["sha256"] == record["submission"]["file"]["sha256"]
    live = next(Path(settings.home).glob("data/*/v5.3/round-*/live.parquet"))
    out = tmp_path / "out.parquet"
    assert main(["predict", str(live), "--ensemble", str(ensemble / "models" / "relative"), "--out", str(out)]) == 0
    capsys.readouterr()
    features = json.loads((ensemble / "ensemble.json").read_text())["features"]
    codes = pl.read_parquet(live, columns=features).to_numpy().astype(np.int8)
    expected = load_model(ensemble / "models" / "relative").predict(codes, eras=np.array([0, len(codes)]))
    np.testing.assert_array_equal(pl.read_parquet(out)["prediction"].to_numpy(), expected)


def test_a_changed_source_is_trained_again_and_an_unchanged_one_is_kept(tmp_path):
    file = write_model_file(tmp_path / "user")
    settings = tiny(
        tmp_path / "home",
        run_dir=str(tmp_path / "run"),
        models=[FAST, {"kind": f"{file}:Ridge"}],
        gate={"corr_bound": 0.9},
        submit={"dry_run": True},
    )
    weekly(settings, return_state=True)
    before = {name: require(tmp_path / "run" / f"train-{name}").signature for name in ("lightgbm", "ridge")}
    file.write_text(RIDGE + "\n# another source\n")
    again = settings.model_copy(update={"run_dir": str(tmp_path / "again")})
    weekly(again, return_state=True)
    after = {name: require(tmp_path / "again" / f"train-{name}").signature for name in ("lightgbm", "ridge")}
    assert after["lightgbm"] == before["lightgbm"]
    assert after["ridge"] != before["ridge"]


@pytest.mark.parametrize(
    ("source", "named"),
    [(None, "model_file"), ("class Ridge(:", "model_file"), (without("predict"), "model_class")],
    ids=["gone", "no Python", "without predict"],
)
def test_what_cannot_be_used_ends_the_command_before_anything_is_downloaded(tmp_path, capsys, source, named):
    if source is not None:
        write_model_file(tmp_path, source)
    asked = ["--set", f"models=lightgbm,{tmp_path}/mine.py:Ridge", "--home", str(tmp_path / "home")]
    assert main(["run", "--profile", "sandbox", *asked]) == 2
    assert f"{named}: " in capsys.readouterr().err
    assert not (tmp_path / "home" / "data").exists()
