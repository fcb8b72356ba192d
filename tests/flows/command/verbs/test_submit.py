"""A held or dry run is sent later, within its round, when the verdict allows it; everything else is refused."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from eraflow.disk.atomic import write_json
from eraflow.numerai.submission_csv import write_submission
from eraflow.runs import stage
from eraflow.runs.conclusion import conclusion
from flows.command import cli
from tests.eraflow.gate.test_gate import measured, sound, wave
from tests.eraflow.numerai.stubserver import Stub, round_row, stub_server
from tests.weeks import tiny

IDS = [f"n{number:015x}" for number in range(40)]
VALUES = [((7 * row) % 41) / 41 for row in range(40)]


@pytest.fixture
def stub() -> Iterator[Stub]:
    with stub_server() as running:
        yield running


@pytest.fixture(autouse=True)
def no_prefect(monkeypatch: pytest.MonkeyPatch) -> None:
    """The verb needs no server, and the tests of one process share one environment."""
    monkeypatch.setattr("flows.command.prefectserver.environment.prepare", lambda home: "")


def made(folder: Path, name: str, files: dict[str, Callable[[Path], object]], **metrics: Any) -> None:
    place = folder / name
    stage.begin(place, f"signature of {name}")
    for file, write in files.items():
        write(place / file)
    stage.finish(
        place, name, f"signature of {name}", metrics=metrics, seconds=1, peak_mb=None, attempts=1, provenance={}
    )


def predictions(path: Path) -> None:
    pl.DataFrame({"id": IDS, "era": ["X"] * 40, "prediction": VALUES}).write_parquet(path)


@pytest.fixture
def week(tmp_path: Path, stub: Stub) -> Path:
    """A held week, as its stages leave it: its mean CORR does not clear the bound that was asked for."""
    folder = tmp_path / "a [held] week"
    settings = tiny(tmp_path / "home", source={"kind": "sandbox", "url": stub.url}, gate={"corr_bound": 0.9})
    (folder / "submission").mkdir(parents=True)
    (folder / "settings.json").write_text(settings.model_dump_json())
    for name in ("live", "again"):
        made(folder, f"predict-{name}", {"predictions.parquet": predictions}, ensemble_signature="ens1")
    made(folder, "blend", {}, ensemble_signature="ens1")
    scores = {"blend": sound(corr=wave(0.02)).as_dict()}
    made(folder, "backtest", {"scores.json": lambda path: write_json(path, scores)})
    made(folder, "train-lightgbm", {}, learns="target_ender_20")
    csv = write_submission(IDS, VALUES, folder / "submission" / "submission.csv")
    file = {"path": str(csv), "sha256": hashlib.sha256(csv.read_bytes()).hexdigest(), "rows": 40, "checks": []}
    noted = {"file": file, "ensemble_signature": "ens1", "round_number": 1404, "model_id": "model-1", "held": True}
    write_json(folder / "submission" / "record.json", {**noted, "sending": False, "state": None, "kept": None})
    write_json(folder / "round.json", {"number": 1404})
    (folder / "stages.txt").write_text("train-lightgbm\nblend\nbacktest\npredict-live\n")
    write_json(folder / "record.json", {"outcome": "held"})
    return folder


def typed(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, dict[str, Any], str]:
    """What is typed, and the exit code, the record and the words on stderr."""
    code = cli.main(["submit", *map(str, arguments), "--json"])
    told = capsys.readouterr()
    return code, json.loads(told.out.splitlines()[-1]), told.err


def content(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and path.name != ".lock"
    }


SEND = ("--set", "gate.corr_bound=null")


def test_a_held_week_is_judged_anew_and_sent_once(week: Path, stub: Stub, capsys: pytest.CaptureFixture[str]) -> None:
    before = content(week)
    code, record, said = typed(capsys, week)
    assert (code, record["error"]["code"]) == (3, "gate_blocked")
    assert "CORR" in said
    assert (content(week), stub.asked.total()) == (before, 0)
    code, record, _ = typed(capsys, week, *SEND)
    assert (code, record["outcome"]) == (0, "submitted")
    assert (record["submission"]["state"]["id"], record["submission"]["state"]["compared"]) == ("sub-1", "same")
    assert record["verdict"]["passed"]
    assert list(stub.uploads.values()) == [(week / "submission" / "submission.csv").read_bytes()]
    after = content(week)
    assert {name: after[name] for name in before} == before
    assert {name for name in after if name not in before} == {"sent/record.json", "sent/verdict.json"}
    [promised] = (week.parent / "home").glob("livescores/**/promises/*.json")
    assert json.loads(promised.read_text())["submission"] == "sub-1"
    assert conclusion(week) == "submitted"
    code, record, _ = typed(capsys, week, *SEND)
    assert (code, record["error"]["code"]) == (2, "run_concluded")
    assert (stub.asked["PUT"], content(week)) == (1, after)


def test_a_dry_run_only_judges(week: Path, stub: Stub, capsys: pytest.CaptureFixture[str]) -> None:
    before = content(week)
    code, record, _ = typed(capsys, week, *SEND, "--dry-run")
    assert (code, record["outcome"], record["verdict"]["passed"]) == (0, "ready", True)
    assert (content(week), stub.asked.total()) == (before, 0)


def test_a_week_that_was_a_dry_run_is_sent_later(week: Path, stub: Stub, capsys: pytest.CaptureFixture[str]) -> None:
    write_json(week / "record.json", {"outcome": "ready"})
    path = week / "settings.json"
    dry = json.loads(path.read_text())
    dry["submit"]["dry_run"], dry["gate"]["corr_bound"] = True, -1.0
    path.write_text(json.dumps(dry))
    assert typed(capsys, week)[1]["outcome"] == "submitted"
    assert stub.asked["PUT"] == 1


def flip(path: Path) -> None:
    changed = bytearray(path.read_bytes())
    changed[len(changed) // 2] ^= 1
    path.write_bytes(bytes(changed))


FILES = (
    "submission/submission.csv",
    "predict-live/predictions.parquet",
    "predict-again/predictions.parquet",
    "backtest/scores.json",
)


@pytest.mark.parametrize(
    ("name", "harm"),
    [
        *((name, harm) for name in FILES for harm in ("flipped", "removed")),
        *((f"{name}/manifest.json", "removed") for name in ("blend", "backtest", "predict-live")),
    ],
)
def test_changed_files_are_refused(
    week: Path, stub: Stub, capsys: pytest.CaptureFixture[str], name: str, harm: str
) -> None:
    flip(week / name) if harm == "flipped" else (week / name).unlink()
    code, record, said = typed(capsys, week, *SEND)
    assert code in (1, 2)
    assert record["error"]["code"] in ("changed_files", "nothing_to_send", "wrong_ensemble")
    assert "Traceback" not in said
    assert (stub.asked.total(), (week / "sent").exists()) == (0, False)


def test_predictions_of_another_run_that_are_whole_in_themselves_are_refused(
    week: Path, stub: Stub, capsys: pytest.CaptureFixture[str]
) -> None:
    """A prediction folder, with a manifest of its own, copied from elsewhere; and a round that was written over."""
    for name in ("live", "again"):
        shutil.rmtree(week / f"predict-{name}")
        made(week, f"predict-{name}", {"predictions.parquet": predictions}, ensemble_signature="another")
    assert typed(capsys, week, *SEND)[1]["error"]["code"] == "wrong_ensemble"
    noted = json.loads((week / "submission" / "record.json").read_text())
    write_json(week / "submission" / "record.json", {**noted, "ensemble_signature": "another"})
    assert typed(capsys, week, *SEND)[1]["error"]["code"] == "wrong_ensemble"
    write_json(week / "round.json", {"number": 1403})
    assert typed(capsys, week, *SEND)[1]["error"]["code"] == "changed_files"
    assert stub.asked.total() == 0


@pytest.mark.parametrize("rounds", [[1405], [1403], []])
def test_another_round_is_refused(
    week: Path, stub: Stub, capsys: pytest.CaptureFixture[str], rounds: list[int]
) -> None:
    stub.rounds = [round_row(number) for number in rounds]
    code, record, _ = typed(capsys, week, *SEND)
    assert (code, record["error"]["code"]) == (1, "round_closed")
    assert "round 1404" in record["error"]["problem"]
    assert (stub.asked["PUT"], (week / "sent").exists()) == (0, False)


def test_another_submission_of_the_round_is_kept_unless_it_is_to_be_replaced(
    week: Path, stub: Stub, capsys: pytest.CaptureFixture[str]
) -> None:
    stub._create_submission({"filename": "by-hand.csv"})
    code, record, said = typed(capsys, week, *SEND)
    assert (code, record["outcome"], stub.asked["PUT"]) == (0, "kept", 0)
    assert "by-hand.csv" in said
    assert "submit.replace=true" in said
    code, record, _ = typed(capsys, week, *SEND, "--set", "submit.replace=true")
    assert (code, record["outcome"], record["submission"]["state"]["id"]) == (0, "submitted", "sub-2")


def test_a_failed_upload_leaves_the_week_as_it_was(week: Path, stub: Stub, capsys: pytest.CaptureFixture[str]) -> None:
    before = content(week)
    stub.fail("PUT", 403, 403)
    assert typed(capsys, week, *SEND)[1]["error"]["code"] == "upload_refused"
    assert content(week) == before
    assert typed(capsys, week, *SEND)[1]["outcome"] == "submitted"


@pytest.mark.parametrize("then", ["the API cannot be read", "the list is odd", "the round is over"])
def test_what_may_have_arrived_is_not_forgotten_by_a_later_attempt_that_fails(
    week: Path, stub: Stub, capsys: pytest.CaptureFixture[str], then: str
) -> None:
    stub.states = ["pending"]
    code, record, _ = typed(capsys, week, *SEND, "--set", "submit.confirm_minutes=0.01")
    assert (code, record["outcome"], record["error"]["code"]) == (1, "unconfirmed", "not_confirmed")
    rounds = stub.rounds
    if then == "the round is over":
        stub.rounds = [round_row(1405)]
    else:
        stub.fail("submissions", *([500] if then == "the API cannot be read" else [{"data": {"submissions": 7}}]) * 2)
    code, record, _ = typed(capsys, week, *SEND)
    assert (code, record["outcome"]) == (1, "unconfirmed")
    stub.rounds, stub.states = rounds, ["success"]
    code, record, _ = typed(capsys, week, *SEND)
    assert (code, record["outcome"], record["submission"]["state"]["already"]) == (0, "submitted", True)
    assert stub.asked["PUT"] == len(stub.submissions) == 1


@pytest.mark.parametrize(
    ("outcome", "code"), [("submitted", "run_concluded"), ("searched", "run_concluded"), ("failed", "nothing_to_send")]
)
def test_other_folders_are_refused(
    week: Path, stub: Stub, capsys: pytest.CaptureFixture[str], outcome: str, code: str
) -> None:
    write_json(week / "record.json", {"outcome": outcome})
    assert typed(capsys, week, *SEND)[1]["error"]["code"] == code
    assert typed(capsys, week.parent / "none", *SEND)[1]["error"]["code"] == "nothing_to_send"
    assert not (week.parent / "none").exists()
    assert stub.asked.total() == 0


@pytest.mark.parametrize("setting", ["windows.folds=3", "data.target=target_b_20", "submit.model=b", "gatecorr=1", "x"])
def test_what_decided_the_prediction_cannot_be_changed(
    week: Path, capsys: pytest.CaptureFixture[str], setting: str
) -> None:
    assert typed(capsys, week, "--set", setting)[1]["error"]["code"] == "settings"


def test_a_weaker_blend_is_not_let_through_by_another_threshold(
    week: Path, stub: Stub, capsys: pytest.CaptureFixture[str]
) -> None:
    """Only what is named is changed: the rules that are left still judge."""
    worse = {"blend": measured(wave(-0.02)).as_dict()}
    made(week, "backtest", {"scores.json": lambda path: write_json(path, worse)})
    code, record, _ = typed(capsys, week, "--set", "gate.bmc_bound=null", "--set", "gate.corr_bound=0")
    assert (code, record["error"]["code"]) == (3, "gate_blocked")
    assert stub.asked.total() == 0
