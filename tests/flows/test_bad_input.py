"""Bad input through the whole flow: a named error that says what to do, nothing submitted, nothing lost."""

import json
import shutil

import polars as pl
import pytest
import requests

from eraflow.sandbox.calendar import RoundSpec
from eraflow.sandbox.generate import generate
from eraflow.sandbox.process import sandbox
from eraflow.settings.source import SandboxSettings
from flows.weekly import weekly
from tests.weeks import TINY, tiny

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("prefect_server")]
TARGET = "target_ender_20"


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    return generate(tmp_path_factory.mktemp("clean") / "data", SandboxSettings(**TINY["sandbox"]), version="v5.3")


def rewrite(path, change):
    frame = pl.read_parquet(path)
    change(frame).write_parquet(path)


def first_feature(folder):
    return json.loads((folder / "features.json").read_text())["feature_sets"]["all"][0]


def truncate(folder):
    path = folder / "train.parquet"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def rename_feature(folder):
    name = first_feature(folder)
    rewrite(folder / "validation.parquet", lambda frame: frame.rename({name: "feature_of_next_week"}))


def value_of_seven(folder):
    name = first_feature(folder)
    rewrite(
        folder / "train.parquet",
        lambda frame: frame.with_columns(
            pl.when(pl.int_range(pl.len()) == 5).then(7).otherwise(pl.col(name)).cast(pl.Int8).alias(name)
        ),
    )


def duplicated_id(folder):
    rewrite(
        folder / "train.parquet",
        lambda frame: frame.with_columns(
            pl.when(pl.int_range(pl.len()) == 9).then(pl.col("id").first()).otherwise(pl.col("id")).alias("id")
        ),
    )


def unordered_eras(folder):
    rewrite(folder / "train.parquet", lambda frame: frame.reverse())


def null_era(folder):
    rewrite(
        folder / "train.parquet",
        lambda frame: frame.with_columns(
            pl.when(pl.int_range(pl.len()) == 9).then(None).otherwise(pl.col("era")).alias("era")
        ),
    )


def no_rows_live(folder):
    rewrite(folder / "live.parquet", lambda frame: frame.clear())


def nothing(folder):
    pass


CASES = {
    "a truncated parquet": (truncate, {}),
    "a renamed feature": (rename_feature, {}),
    "a feature value of 7": (value_of_seven, {}),
    "a duplicated id": (duplicated_id, {}),
    "unordered eras": (unordered_eras, {}),
    "a null era": (null_era, {}),
    "an absent target": (nothing, {"data": {"target": "target_nobody_20"}}),
    "the alias without its horizon": (nothing, {"data": {"target": "target"}}),
    "too few eras": (nothing, {"windows": {"folds": 40, "first_test_fraction": 0.06, "purge_weeks": 20}}),
    "a purge below the horizon": (nothing, {"windows": {"purge_weeks": 4}}),
    "constant predictions": (
        nothing,
        {"models": [{"kind": "lightgbm", "params": {"n_estimators": 3, "min_data_in_leaf": 1_000_000}}]},
    ),
    "an empty live file": (no_rows_live, {}),
}
EXPECTED = {
    "a truncated parquet": "train.parquet",
    "a renamed feature": "feature_",
    "a feature value of 7": "7",
    "a duplicated id": "id",
    "unordered eras": "era",
    "a null era": "era",
    "an absent target": "target_nobody_20",
    "the alias without its horizon": "alias_horizon",
    "too few eras": "era",
    "a purge below the horizon": "8",
    "constant predictions": " predictions of lightgbm on eras",
    "an empty live file": "live",
}


@pytest.mark.parametrize("case", CASES)
def test_it_is_named_and_nothing_is_sent(case, clean, tmp_path):
    damage, changes = CASES[case]
    folder = tmp_path / "data"
    shutil.copytree(clean, folder)
    damage(folder)
    settings = tiny(tmp_path / "home", run_dir=str(tmp_path / "run"), source={"data_dir": str(folder)}, **changes)
    state = weekly(settings, return_state=True)
    assert state.is_failed()
    record = json.loads((tmp_path / "run" / "record.json").read_text())
    assert record["outcome"] == "failed"
    assert record["submission"] is None
    error = record["error"]
    assert error["code"] not in ("unexpected", "stage_error", "eraflow_error"), error
    assert EXPECTED[case] in error["problem"] + error["remedy"]
    assert len(error["remedy"]) > 10
    assert error["code"] in state.message


@pytest.mark.parametrize(
    ("state", "version", "code"), [("closed", "v5.3", "round_closed"), ("open", "v9.9", "unknown_version")]
)
def test_a_tournament_that_has_nothing_for_us_is_named(state, version, code, clean, tmp_path):
    with sandbox(clean, tmp_path / "state", round_spec=RoundSpec(state=state)) as address:
        settings = tiny(tmp_path, run_dir=str(tmp_path / "run"), source={"url": address.url}, data={"version": version})
        ended = weekly(settings, return_state=True)
    assert ended.is_failed()
    assert code in ended.message


def test_a_server_that_is_down_is_named(tmp_path):
    settings = tiny(tmp_path, run_dir=str(tmp_path / "run"), source={"url": "http://127.0.0.1:9"})
    ended = weekly(settings, return_state=True)
    assert ended.is_failed()
    assert "server_down" in ended.message


def test_a_refused_upload_and_a_wrong_key_are_named_and_nothing_is_counted(clean, tmp_path):
    """One run that meets both: first the PUT is refused, then, continued, the key; what was trained is kept."""
    with sandbox(clean, tmp_path / "state") as address:
        settings = tiny(tmp_path, run_dir=str(tmp_path / "run"), source={"url": address.url})
        requests.post(f"{address.url}/sandbox/faults", json={"put_403": 99}, timeout=10).raise_for_status()
        refused = weekly(settings, return_state=True)
        requests.post(f"{address.url}/sandbox/faults", json={"put_403": 0, "wrong_key": 99}, timeout=10)
        wrong_key = weekly(settings, return_state=True)
        assert requests.get(f"{address.url}/sandbox/submissions", timeout=10).json() in ([], {"submissions": []})
        requests.post(f"{address.url}/sandbox/faults", json={"wrong_key": 0}, timeout=10)
        record = weekly(settings)
    assert "upload_refused" in refused.message
    assert "wrong_key" in wrong_key.message
    assert record["outcome"] == "submitted"


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    state = weekly(tiny(tmp_path / "home", run_dir=str(tmp_path / "file" / "run")), return_state=True)
    assert state.is_failed()
    assert "storage" in state.message
