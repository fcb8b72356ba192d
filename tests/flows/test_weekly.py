"""A whole week, through the real client, server, children and gate; and what happens when it must not end well."""

import json
import shutil
from pathlib import Path

import pandas as pd
import polars as pl
import pytest
from numerai_tools.submissions import validate_submission_numerai

import tasks.run
from eraflow.disk.sqliteurl import sqlite_url
from eraflow.numerai.client import Slot
from eraflow.reports.weekreport import week_report
from eraflow.runs.continuation import take_over
from eraflow.runs.rundir import locked
from eraflow.runs.unfinished import note_run
from eraflow.tracking.mlflowlink import quiet_mlflow
from eraflow.tracking.registry import champion_info
from eraflow.tracking.tracking import DATABASE
from flows.command.cli import main
from flows.command.starting.summary import summary
from flows.command.terminal.printing import plain
from flows.daily import daily
from flows.research import research
from flows.weekly import weekly
from models.delivery.export import write_export_parts
from tasks.clean import referenced_runs
from tasks.register import seat_of, tracker
from tests.weeks import receiver, tiny

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("prefect_server")]


PLANTED = "g3heim-planted"
"""Stands in the environment and in the command line of the week, and in no file that it leaves."""


@pytest.fixture(scope="module")
def shipped(tmp_path_factory, prefect_server):
    """One week that ships, with tracking; several tests look at what it left."""
    home = tmp_path_factory.mktemp("home")
    settings = tiny(
        home,
        run_dir=str(home / "run"),
        tracking={"enabled": True},
        models=[
            {"kind": "lightgbm", "params": {"n_estimators": 30, "learning_rate": 0.1}},
            {"kind": "xgboost", "params": {"n_estimators": 30, "learning_rate": 0.1}},
            {"kind": "catboost", "params": {"n_estimators": 30, "learning_rate": 0.1}},
        ],
    )
    typed = ["eraflow", "run", "--set", f"alert.ping_url=https://hc.example/{PLANTED}", "--token", PLANTED]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", typed)
        for name in ("NUMERAI_SECRET_KEY", "SLACK_WEBHOOK_URL", "MY_TOKEN"):
            patch.setenv(name, f"{PLANTED}-{name}")
        return settings, weekly(settings)


def test_the_week_ends_in_an_accepted_submission(shipped):
    settings, record = shipped
    assert record["outcome"] == "submitted"
    assert record["submission"]["state"]["status"] == "success"
    assert record["verdict"]["passed"]
    assert set(record["scores"]) >= {"lightgbm", "xgboost", "catboost", "blend"}
    assert record["error"] is None
    assert json.loads((Path(settings.run_dir) / "record.json").read_text()) == record
    heavy = {"features", "train-lightgbm", "train-xgboost", "train-catboost", "blend", "backtest", "predict-live"}
    assert heavy <= set(record["stages"])
    assert all(record["stages"][name]["peak_mb"] > 10 for name in heavy)
    assert record["blend"] == {
        "method": "rank-gaussian",
        "weights": dict.fromkeys(("lightgbm", "xgboost", "catboost"), 1 / 3),
    }


def test_the_week_tells_what_it_is_everywhere_alike(shipped):
    settings, record = shipped
    told = record["identity"]
    unknown = {name for name, value in told.items() if value is None}
    assert unknown <= {"git_commit", "git_dirty"}  # of a package that lies in no checkout
    assert record["submission"]["state"]["filename"].startswith(f"{told['name']}_eraflow-1404-")
    assert told["weights_sha256"] == record["submission"]["ensemble_signature"]
    assert told["submission_sha256"] == record["submission"]["file"]["sha256"]
    client = quiet_mlflow().MlflowClient(sqlite_url(settings.home_path / DATABASE))
    experiments = [each.experiment_id for each in client.search_experiments()]
    found = [run for kind in ("model", "ensemble") for run in client.search_runs(experiments, f"tags.kind = '{kind}'")]
    assert len(found) == 4
    for run in found:
        assert run.data.tags["run.settings_sha256"] == told["settings_sha256"]
        assert run.data.tags["run.data_sha256"] == told["data_sha256"]
    version = client.get_model_version_by_alias("eraflow-ensemble-sandbox", "champion")
    assert version.tags["run.name"] == told["name"]


def test_no_file_that_a_week_leaves_holds_a_secret(shipped, tmp_path):
    settings, _ = shipped
    run_dir = Path(settings.run_dir)
    write_export_parts(ensemble=str(run_dir / "blend" / "ensemble"), parts=str(tmp_path / "parts"))
    files = [path for folder in (settings.home_path, tmp_path) for path in folder.rglob("*") if path.is_file()]
    assert run_dir / "origin.json" in files
    assert [path for path in files if PLANTED.encode() in path.read_bytes()] == []
    assert "***" in (run_dir / "origin.json").read_text()


def test_a_week_is_built_again_to_the_same_bytes_and_a_changed_one_is_found_out(shipped, tmp_path, capsys):
    settings, _ = shipped
    before = contents(settings.run_dir)
    asked = ["reproduce", settings.run_dir, "--home", str(settings.home_path), "--out", str(tmp_path / "again")]
    assert main([*asked, "--json"]) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert told["outcome"] == "identical"
    assert [cause for cause in told["causes"] if "no commit holds" not in cause] == []  # what is developed here
    names = [one["name"] for one in told["artefacts"]]
    assert {"features", "folds", "weights", "ensemble", "prediction", "submission"} <= set(names)
    assert contents(settings.run_dir) == before
    rebuilt = Path(told["run_dir"])
    assert json.loads((rebuilt / "submission" / "record.json").read_text())["state"] is None  # it was not sent
    assert not (tmp_path / "again" / "cache").exists()


def test_what_a_member_weighs_stands_in_mlflow_and_in_the_report(shipped):
    settings, _ = shipped
    client = quiet_mlflow().MlflowClient(sqlite_url(settings.home_path / DATABASE))
    experiments = [each.experiment_id for each in client.search_experiments()]
    found = [each.data.metrics for each in client.search_runs(experiments, "tags.kind = 'model'")]
    assert [round(metrics["weight"], 6) for metrics in found] == [round(1 / 3, 6)] * 3
    assert "Blended by `rank-gaussian` with the weights" in week_report(Path(settings.run_dir), {})


def test_what_each_member_is_worth_stands_in_the_record_the_report_and_mlflow(shipped):
    settings, record = shipped
    assert set(record["worth"]["members"]) == {"lightgbm", "xgboost", "catboost"}
    assert {"payout", "payout_bmc", "corr", "mmc", "sharpe"} == set(record["worth"]["members"]["lightgbm"])
    assert record["worth"]["correlation"]["members"] == list(record["worth"]["members"])
    client = quiet_mlflow().MlflowClient(sqlite_url(settings.home_path / DATABASE))
    experiments = [each.experiment_id for each in client.search_experiments()]
    for run in client.search_runs(experiments, "tags.kind = 'model'"):
        assert {"worth_payout", "worth_corr", "worth_corr_low", "worth_mmc", "worth_sharpe"} <= set(run.data.metrics)
    assert "What each member is worth" in week_report(Path(settings.run_dir), {})
    assert "worth of" in plain(summary(record, settings, ""))


def test_a_cleaning_knows_that_the_champion_points_to_the_run(shipped):
    settings, _ = shipped
    assert referenced_runs(settings.home_path) == {Path(settings.run_dir).name}


def test_numerai_tools_accepts_the_file(shipped):
    settings, record = shipped
    live = next(Path(settings.home).glob("data/*/v5.3/round-*/live.parquet"))
    ids = pl.read_parquet(live, columns=["id"])["id"].to_pandas()
    validate_submission_numerai(ids, pd.read_csv(record["submission"]["file"]["path"]))


def contents(folder):
    return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in Path(folder).rglob("*") if path.is_file()}


@pytest.mark.parametrize("flow", [weekly, daily, research])
@pytest.mark.parametrize("changes", [{}, {"seed": 9}, {"profile": "laptop"}])
def test_what_a_run_that_has_ended_left_is_never_rewritten(flow, changes, shipped):
    settings, _ = shipped
    before = contents(settings.run_dir)
    state = flow(settings.model_copy(update=changes), return_state=True)
    assert "run_concluded" in state.message
    assert contents(settings.run_dir) == before


@pytest.mark.parametrize("out", ["submission/submission.csv", "new.csv", "submission/../deep/new.parquet"])
def test_nor_is_anything_predicted_into_it(out, shipped, capsys):
    settings, _ = shipped
    live = next(Path(settings.home).glob("data/*/v5.3/round-*/live.parquet"))
    before = contents(settings.run_dir)
    assert main(["predict", str(live), "--run-dir", settings.run_dir, "--out", f"{settings.run_dir}/{out}"]) == 2
    assert "run_concluded" in capsys.readouterr().err
    assert contents(settings.run_dir) == before


def test_a_run_that_was_killed_after_it_sent_skips_everything_and_sends_nothing_twice(shipped, tmp_path):
    settings, record = shipped
    killed = tmp_path / "killed"
    shutil.copytree(settings.run_dir, killed)
    (killed / "record.json").unlink()
    accepted = (killed / "submission" / "submission.csv").read_bytes()
    other = weekly(settings.model_copy(update={"run_dir": str(killed), "seed": 9}), return_state=True)
    assert "other_run" in other.message
    again = weekly(settings.model_copy(update={"run_dir": str(killed)}))
    assert (killed / "submission" / "submission.csv").read_bytes() == accepted
    assert again["submission"]["file"]["sha256"] == record["submission"]["file"]["sha256"]
    assert again["submission"]["state"]["id"] == record["submission"]["state"]["id"]
    for name in ("features", "train-lightgbm", "blend", "backtest", "predict-live"):
        assert again["stages"][name] == record["stages"][name]


def test_the_champion_serves_the_rounds_between(shipped):
    settings, record = shipped
    told = daily(settings.model_copy(update={"run_dir": str(Path(settings.home) / "daily")}))
    assert told["outcome"] == "submitted"
    assert told["submission"]["file"]["sha256"] == record["submission"]["file"]["sha256"]


def test_another_folder_and_another_process_give_the_same_bytes(shipped, tmp_path):
    settings, record = shipped
    other = weekly(settings.model_copy(update={"run_dir": str(tmp_path / "other")}))
    assert other["submission"]["file"]["sha256"] == record["submission"]["file"]["sha256"]
    kept = [Path(told["run_dir"]) / "features" / "store" / "matrix.npy" for told in (record, other)]
    shared = list((Path(settings.home) / "cache" / "eras").glob("*/store/matrix.npy"))
    assert any(kept[1].samefile(each) for each in shared)  # one era store for the next runs of these data


def test_a_blocked_gate_sends_nothing_and_says_why(tmp_path):
    settings = tiny(tmp_path, run_dir=str(tmp_path / "run"), gate={"corr_bound": 0.9})
    with receiver() as inbox:
        from tests.tasks.test_alert import webhook

        settings = settings.model_copy(
            update={"alert": settings.alert.model_copy(update={"block": webhook("held-week", inbox.url)})}
        )
        state = weekly(settings, return_state=True)
        assert [("held" in message["text"], "CORR" in message["text"]) for message in inbox.messages] == [(True, True)]
    assert state.name == "Held"
    assert state.is_failed()
    record = json.loads((tmp_path / "run" / "record.json").read_text())
    assert record["outcome"] == "held"
    # The live prediction is made, checked and kept, and the message and the page say what may be done.
    assert (record["submission"]["state"], record["submission"]["held"]) == (None, True)
    assert all(check["passed"] for check in record["submission"]["file"]["checks"])
    assert (tmp_path / "run" / "submission" / "submission.csv").exists()
    command = f"eraflow submit {tmp_path / 'run'} --set gate.corr_bound=null"
    assert all(
        command in text for text in (state.message, *record["may_be_done"][1:2], week_report(tmp_path / "run", {}))
    )
    assert " ".join(plain(summary(record, settings, "")).split()).count(command) == 1


def blocked(settings, folder, **changes):
    """The same week with a threshold that nothing can pass."""
    gate = settings.gate.model_copy(update={"corr_bound": 0.9, **changes})
    return settings.model_copy(update={"gate": gate, "run_dir": str(folder)})


def test_blocked_with_the_champion_chosen_but_none_shipped_is_held(tmp_path):
    settings = tiny(tmp_path, tracking={"enabled": True})
    state = weekly(blocked(settings, tmp_path / "run", on_block="champion"), return_state=True)
    assert state.name == "Held"
    assert "CORR" in state.message
    assert "no_champion" in state.message
    assert json.loads((tmp_path / "run" / "record.json").read_text())["outcome"] == "held"


def test_blocked_with_a_champion_that_was_shipped_sends_the_champions(shipped, tmp_path):
    settings, record = shipped
    told = weekly(blocked(settings, tmp_path / "run", on_block="champion"))
    assert told["outcome"] == "submitted"
    assert not told["verdict"]["passed"]
    assert told["submission"]["file"]["sha256"] == record["submission"]["file"]["sha256"]
    allowed = json.loads((tmp_path / "run" / "submission" / "verdict.json").read_text())
    assert allowed["passed"]
    assert allowed["ensemble_signature"] == told["submission"]["ensemble_signature"]


def test_a_champion_of_another_source_is_neither_compared_with_nor_sent(shipped, tmp_path):
    settings, record = shipped
    other = settings.model_copy(
        update={
            "sandbox": settings.sandbox.model_copy(update={"seed": 99}),
            "models": settings.models[:1],
            "run_dir": str(tmp_path / "run"),
        }
    )
    told = weekly(other)
    rule = next(rule for rule in told["verdict"]["rules"] if rule["name"] == "champion")
    assert not rule["judged"]
    # Nor does it take the place of the one of this source.
    own = tasks.run.Run(settings, tmp_path / "daily")
    seat = seat_of(own, Slot(record["submission"]["model_id"], "eraflow"))
    assert champion_info(tracker(own), seat).signature == record["submission"]["ensemble_signature"]
    elsewhere = settings.data.model_copy(update={"target": "target_ender_60"})
    state = daily(settings.model_copy(update={"data": elsewhere, "run_dir": str(tmp_path / "60")}), return_state=True)
    assert "no_champion" in state.message
    assert "slot eraflow, target_ender_60; there are: generated-" in state.message


def test_a_damaged_champion_does_not_cost_the_week(tmp_path):
    settings = tiny(tmp_path, run_dir=str(tmp_path / "first"), tracking={"enabled": True})
    first = weekly(settings)
    for scores in (tmp_path / "mlartifacts").rglob("evidence/scores.json"):
        scores.write_text("{}")
    again = settings.model_copy(update={"run_dir": str(tmp_path / "second"), "seed": 8})
    told = weekly(again)
    assert told["outcome"] == "kept"  # the first one's submission counts for this round
    assert not next(rule for rule in told["verdict"]["rules"] if rule["name"] == "champion")["judged"]
    assert told["submission"]["state"] is None
    assert f"eraflow submit {tmp_path / 'second'} --set submit.replace=true" in told["may_be_done"][1]
    assert told["submission"]["kept"]["id"] == first["submission"]["state"]["id"]
    assert "another submission is filed" in " ".join(plain(summary(told, again, "")).split())
    replacing = settings.submit.model_copy(update={"replace": True})
    told = weekly(again.model_copy(update={"submit": replacing, "run_dir": str(tmp_path / "third")}))
    assert told["outcome"] == "submitted"
    assert told["submission"]["state"]["id"] != first["submission"]["state"]["id"]


def test_a_second_run_in_a_folder_that_is_held_changes_nothing_in_it(tmp_path):
    settings = tiny(tmp_path, run_dir=str(tmp_path / "run"))
    note_run(tmp_path, tmp_path / "run", "weekly", None)
    with locked(tmp_path / "run"):
        before = contents(tmp_path / "run")
        state = weekly(settings, return_state=True)
        assert contents(tmp_path / "run") == before
    assert "run_locked" in state.message


def test_a_held_run_that_prefect_retries_is_judged_anew_beside_it(tmp_path):
    settings = blocked(tiny(tmp_path), tmp_path / "run")
    assert weekly(settings, return_state=True).name == "Held"
    before = contents(tmp_path / "run")
    identifier = json.loads((tmp_path / "run" / "run.json").read_text())["flow_runs"][0]
    path, taken_from = tasks.run._folder(settings, "weekly", identifier)
    assert (path, taken_from) == (tmp_path / "run-2", tmp_path / "run")
    allowed = settings.model_copy(update={"gate": tiny(tmp_path).gate, "run_dir": str(path)})
    note_run(settings.home_path, path, "weekly", None)
    made = take_over(taken_from, path)
    again = weekly(allowed)
    assert again["outcome"] == "submitted"
    assert {"features", "train-lightgbm", "blend", "backtest"} <= set(made)
    first = json.loads((tmp_path / "run" / "record.json").read_text())["stages"]
    for name in ("features", "train-lightgbm", "blend", "backtest"):
        assert again["stages"][name] == first[name]
    assert contents(tmp_path / "run") == before
