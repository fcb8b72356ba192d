"""The unmodified numerapi client finds in the sandbox what it finds at Numerai."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import requests
from numerapi import NumerAPI

from eraflow.sandbox.calendar import RoundSpec
from eraflow.sandbox.process import SandboxAddress, sandbox

from .conftest import Connect

STATE = """query($modelId: String!) { submissions(modelId: $modelId) {
    id filename status errorInfo selected insertedAt round { number } } }"""
PICKLES = """query($modelId: String, $id: ID) { computePickles(modelId: $modelId, id: $id) { id filename
    validationStatus triggerStatus diagnosticsStatus assignedModelSlots dockerImageName dataVersion
    triggers { id status statuses { status description insertedAt } } } }"""


@pytest.fixture(scope="module")
def address(small_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxAddress]:
    state = tmp_path_factory.mktemp("state")
    with sandbox(small_folder, state, models=("eraflow", "other"), round_spec=RoundSpec(number=77)) as running:
        yield running


@pytest.fixture
def api(address: SandboxAddress, connect: Connect) -> Iterator[NumerAPI]:
    yield connect(address)
    control(address, "round", state="open", number=77, opens_in=0.0, open_seconds=3600.0, late_seconds=0.0)
    control(address, "faults", put_403=0, server_500=0, wrong_key=0)


def control(address: SandboxAddress, what: str, **change: Any) -> dict[str, Any]:
    reply = requests.post(f"{address.url}/sandbox/{what}", json=change, timeout=10)
    assert reply.status_code == 200, reply.text
    found: dict[str, Any] = reply.json()
    return found


def predictions(folder: Path) -> pd.DataFrame:
    ids = pd.read_parquet(folder / "live.parquet", columns=[]).index
    return pd.DataFrame({"id": ids, "prediction": (np.arange(len(ids)) + 0.5) / len(ids)})


def submissions(api: NumerAPI, model: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = api.raw_query(STATE, {"modelId": model}, authorization=True)["data"]["submissions"]
    return found


def settled(api: NumerAPI, model: str, identifier: str) -> dict[str, Any]:
    """The submission once it has left its passing states."""
    for _ in range(40):
        found = next(row for row in submissions(api, model) if row["id"] == identifier)
        if found["status"] not in ("pending", "running"):
            return found
        time.sleep(0.05)
    raise AssertionError(f"never settled: {found}")


def test_files_are_listed_and_downloaded_whole(api: NumerAPI, small_folder: Path, tmp_path: Path) -> None:
    names = api.list_datasets()
    assert "v5.3/features.json" in names
    assert sorted(names) == sorted(
        f"v5.3/{path.name}" for path in small_folder.iterdir() if "generated" not in path.name and path.is_file()
    )
    for name in names:
        path = Path(api.download_dataset(name, str(tmp_path / Path(name).name)))
        assert path.read_bytes() == (small_folder / path.name).read_bytes()
    part = api.download_dataset("v5.3/train.parquet", str(tmp_path / "p.parquet"), filters=[("era", "==", "0002")])
    assert set(pd.read_parquet(part)["era"]) == {"0002"}
    with pytest.raises(ValueError, match="not found"):
        api.download_dataset("v5.3/../state.json", str(tmp_path / "x"))


def test_a_download_can_be_resumed_and_needs_its_signature(api: NumerAPI, small_folder: Path, tmp_path: Path) -> None:
    whole = (small_folder / "train.parquet").read_bytes()
    (tmp_path / "t.parquet.temp").write_bytes(whole[:1000])
    api.download_dataset("v5.3/train.parquet", str(tmp_path / "t.parquet"))
    assert (tmp_path / "t.parquet").read_bytes() == whole
    query = '{ dataset(filename: "v5.3/train.parquet") }'
    url = api.raw_query(query)["data"]["dataset"]
    reply = requests.get(url, headers={"Range": "bytes=10-19"}, timeout=10)
    assert (reply.status_code, reply.content) == (206, whole[10:20])
    assert reply.headers["etag"]
    assert requests.get(url.split("?")[0], timeout=10).status_code == 403
    assert requests.get(url.replace("train", "live"), timeout=10).status_code == 403


def test_rounds_are_told_with_their_scores(api: NumerAPI) -> None:
    assert api.get_current_round() == 77
    assert api.check_round_open()
    rows = api.list_rounds()
    assert [row["number"] for row in rows] == [77, 76, 75, 74, 73]
    assert all(row["openTime"] < row["closeStakingTime"] <= row["closeTime"] < row["resolveTime"] for row in rows)
    paid = {
        config["name"]: config["defaultMultiplier"] for config in rows[0]["roundScoreConfigs"] if config["isPayout"]
    }
    assert paid == {"corr60": 3.0, "mmc60": 15.0}
    assert [row["number"] for row in api.list_rounds(status="open")] == [77]
    assert api.list_rounds(number=75)[0]["number"] == 75
    assert api.list_rounds(limit=2)[1]["number"] == 76
    assert api.list_rounds(target="target_of_nobody") == []
    assert {row["number"] for row in api.get_competitions()} == {77, 76, 75, 74, 73}


def test_between_rounds_and_before_the_opening(api: NumerAPI, address: SandboxAddress, small_folder: Path) -> None:
    control(address, "round", state="closed")
    assert not api.check_round_open()
    with pytest.raises(ValueError, match="Current round not open for submissions"):
        api.get_current_round()
    with pytest.raises(ValueError, match="Current round not open for submissions"):
        api.upload_predictions(df=predictions(small_folder), model_id=api.get_models()["eraflow"])
    assert [row["number"] for row in api.list_rounds(status="upcoming")] == [77]
    control(address, "round", state="open", number=78, opens_in=60.0)
    assert not api.check_round_open()
    control(address, "round", number=78)
    assert api.check_round_open()
    assert api.get_current_round() == 78


def test_a_late_submission_is_taken_but_marked(api: NumerAPI, address: SandboxAddress, small_folder: Path) -> None:
    control(address, "round", open_seconds=0.0, late_seconds=60.0)
    assert not api.check_round_open()
    model = api.get_models()["eraflow"]
    identifier = api.upload_predictions(df=predictions(small_folder), model_id=model)
    assert settled(api, model, identifier)["status"] == "success"
    received = requests.get(f"{address.url}/sandbox/submissions", timeout=10).json()
    assert [row["late"] for row in received if row["id"] == identifier] == [True]


def test_the_account_and_its_models(api: NumerAPI) -> None:
    models = api.get_models()
    assert set(models) == {"eraflow", "other"}
    account = api.get_account()
    assert account["username"] == "sandbox"
    assert {model["name"]: model["id"] for model in account["models"]} == models
    assert api.modelid_to_modelname(models["other"]) == "other"
    assert api.models_of_account("sandbox") == models
    assert api.submission_scores(models["other"]) == []
    assert api.pipeline_status()["isScoringDay"]


def test_a_good_submission_is_accepted_and_the_newest_counts(api: NumerAPI, small_folder: Path, tmp_path: Path) -> None:
    model = api.get_models()["eraflow"]
    frame = predictions(small_folder)
    first = api.upload_predictions(df=frame, model_id=model)
    assert settled(api, model, first)["selected"]
    second = api.upload_predictions(df=frame.iloc[::-1], model_id=model)
    found = settled(api, model, second)
    assert (found["status"], found["errorInfo"], found["round"]) == ("success", None, {"number": 77})
    wrong = api.upload_predictions(df=frame.iloc[1:], model_id=model)
    assert settled(api, model, wrong)["status"] == "failed"
    assert [row["id"] for row in submissions(api, model) if row["selected"]] == [second]
    assert [row["filename"] for row in api.get_submission_filenames(model_id=model)] == [found["filename"]]
    path = api.download_submission(second, dest_path=str(tmp_path / "back.csv"))
    assert list(pd.read_csv(path)["id"]) == list(frame["id"])[::-1]


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda frame: frame.assign(id="n000000000000000"), "invalid_submission_ids"),
        (lambda frame: frame.rename(columns={"prediction": "forecast"}), "invalid_submission_headers"),
        (lambda frame: frame.assign(prediction=0.5), "non-zero standard deviation"),
        (lambda frame: frame.assign(prediction=frame["prediction"].where(frame.index > 3)), "NaN"),
        (lambda frame: frame.assign(prediction=frame["prediction"] * 3), "between 0 and 1"),
        (lambda frame: pd.concat([frame, frame]), "Duplicates"),
        (lambda frame: frame.iloc[:0], "invalid_submission_ids"),
        (lambda frame: pd.DataFrame(), "No columns"),
    ],
)
def test_a_wrong_file_fails_with_its_reason(api: NumerAPI, small_folder: Path, spoil: Any, reason: str) -> None:
    model = api.get_models()["other"]
    identifier = api.upload_predictions(df=spoil(predictions(small_folder)), model_id=model)
    found = settled(api, model, identifier)
    assert found["status"] == "failed"
    assert reason in found["errorInfo"]
    assert not found["selected"]


def test_a_refused_put_ends_in_a_failed_submission_without_a_word_from_numerapi(
    api: NumerAPI, address: SandboxAddress, small_folder: Path
) -> None:
    model = api.get_models()["eraflow"]
    control(address, "faults", put_403=1)
    identifier = api.upload_predictions(df=predictions(small_folder), model_id=model)
    found = settled(api, model, identifier)
    assert (found["status"], found["errorInfo"][:25]) == ("failed", "submission file not found")


def test_only_signed_addresses_take_uploads(api: NumerAPI) -> None:
    query = """query($modelId: String) { submission_upload_auth(filename: "a.csv", tournament: 8, modelId: $modelId)
        { filename url } }"""
    auth = api.raw_query(query, {"modelId": api.get_models()["other"]}, authorization=True)["data"]
    url = auth["submission_upload_auth"]["url"]
    assert requests.put(url.split("?")[0], data=b"x", timeout=10).status_code == 403
    changed = "1" if url.endswith("0") else "0"
    assert requests.put(url[:-1] + changed, data=b"x", timeout=10).status_code == 403
    assert requests.put(url.replace("Expires=", "Expires=1"), data=b"x", timeout=10).status_code == 403
    assert requests.put(url, data=b"x", timeout=10).status_code == 200
    unknown = 'mutation { create_submission(filename: "mine.csv", tournament: 8, modelId: "%s") { id } }'
    with pytest.raises(ValueError, match="Unknown filename"):
        api.raw_query(unknown % api.get_models()["other"], authorization=True)


def test_a_wrong_or_missing_key_is_401(api: NumerAPI, address: SandboxAddress, connect: Connect) -> None:
    wrong = connect(address, secret="WRONG")
    with pytest.raises(KeyError, match="data"):  # how numerapi shows a 401
        wrong.get_models()
    assert wrong.get_current_round() == 77  # public: no key is looked at
    body = {"query": "{ account { username } }", "variables": None}
    assert requests.post(address.url, json=body, timeout=10).status_code == 401
    control(address, "faults", wrong_key=1)
    with pytest.raises(KeyError, match="data"):
        connect(address).get_models()
    assert connect(address).get_models()


def test_a_server_error_is_500_as_often_as_asked(api: NumerAPI, address: SandboxAddress) -> None:
    control(address, "faults", server_500=1)
    body = {"query": "{ listDatasets }"}
    assert [requests.post(address.url, json=body, timeout=10).status_code for _ in range(2)] == [500, 200]


@pytest.mark.parametrize(
    "query", ["{ listDatasets", "{ nothing }", "{ rounds { colour } }", "query($n: Int!) { rounds(number: $n) {id} }"]
)
def test_a_wrong_query_is_answered_with_errors(address: SandboxAddress, query: str) -> None:
    reply = requests.post(address.url, json={"query": query}, timeout=10)
    assert reply.status_code == 200
    assert reply.json()["errors"][0]["message"]


def test_only_the_fields_asked_for_are_answered(address: SandboxAddress) -> None:
    body = {"query": "{ now: rounds(number: 0) { number } listDatasets }"}
    data = requests.post(address.url, json=body, timeout=10).json()["data"]
    assert data["now"] == [{"number": 77}]
    assert set(data) == {"now", "listDatasets"}


def test_diagnostics_score_the_validation_eras(api: NumerAPI, small_folder: Path) -> None:
    frame = pd.read_parquet(small_folder / "validation.parquet", columns=["era", "target_ender_60"])
    known = frame["target_ender_60"].dropna()
    model = api.get_models()["eraflow"]
    noisy = known.to_numpy() + np.random.default_rng(1).normal(size=len(known))
    identifier = api.upload_diagnostics(df=pd.DataFrame({"id": known.index, "prediction": noisy}), model_id=model)
    for _ in range(20):
        found = api.diagnostics(model, identifier)[0]
        if found["status"] != "pending":
            break
        time.sleep(0.05)
    assert found["status"] == "done"
    assert found["erasAcceptedCount"] == len(found["perEraDiagnostics"]) == 30 - 13
    assert 0.05 < found["validationCorrMean"] < 0.5


def test_a_pickle_is_stored_validated_assigned_and_then_blocks_predictions(
    api: NumerAPI, small_folder: Path, tmp_path: Path
) -> None:
    path = tmp_path / "model.pkl"
    path.write_bytes(b"\x80\x04.")
    model = api.get_models()["other"]
    images = api.model_upload_docker_images()
    assert set(images) == {f"Python 3.{minor}" for minor in (10, 11, 12, 13)}
    identifier = api.model_upload(str(path), model_id=model, data_version="v5.3", docker_image="Python 3.11")
    assign = "mutation($m: String, $p: ID) { assignPickleToModel(modelId: $m, pickleId: $p) }"
    time.sleep(0.25)
    assert api.raw_query(assign, {"m": model, "p": identifier}, authorization=True)["data"] == {
        "assignPickleToModel": "true"
    }
    run = "mutation($m: ID, $p: ID) { triggerComputePickleUpload(modelId: $m, pickleId: $p) { id triggerStatus } }"
    api.raw_query(run, {"m": model, "p": identifier}, authorization=True)
    found = api.raw_query(PICKLES, {"modelId": model, "id": identifier}, authorization=True)["data"]["computePickles"]
    assert len(found) == 1
    assert (found[0]["validationStatus"], found[0]["dockerImageName"]) == ("validated", "Python 3.11")
    assert (found[0]["dataVersion"], found[0]["assignedModelSlots"]) == ("v5.3", [model])
    logs = "query($t: ID!) { triggerLogs(triggerId: $t) { timestamp message } }"
    lines = api.raw_query(logs, {"t": found[0]["triggers"][0]["id"]}, authorization=True)["data"]["triggerLogs"]
    assert lines[0]["message"] == "queued"
    with pytest.raises(ValueError, match="active pickle"):
        api.upload_predictions(df=predictions(small_folder), model_id=model)
    api.raw_query(assign, {"m": model, "p": None}, authorization=True)
    assert api.upload_predictions(df=predictions(small_folder), model_id=model)


def test_the_switchboard_refuses_what_it_does_not_know(address: SandboxAddress) -> None:
    for what, change in (("round", {"colour": 1}), ("round", {"state": "ajar"}), ("faults", {"flood": 1})):
        assert requests.post(f"{address.url}/sandbox/{what}", json=change, timeout=10).status_code == 422
    status = requests.get(f"{address.url}/sandbox/status", timeout=10).json()
    assert status["round"] == 77
    assert set(status["models"]) == {"eraflow", "other"}
