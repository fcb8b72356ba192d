"""What depends on time, on a clock that the test moves."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pandas as pd
import pytest
from fastapi import FastAPI

from eraflow.sandbox.calendar import Calendar, RoundSpec
from eraflow.sandbox.records import SANDBOX_KEYS
from eraflow.sandbox.server import make_app

STATES = "{ submissions { status errorInfo selected } }"


class Clock:
    """Seconds that pass only when told to."""

    def __init__(self) -> None:
        self.now = 1_795_000_000.0

    def __call__(self) -> float:
        return self.now


class Asker:
    """Asks an application in this process, with the key."""

    def __init__(self, app: FastAPI, clock: Clock) -> None:
        self.app, self.clock = app, clock

    def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        headers = {"Authorization": f"Token {SANDBOX_KEYS[0]}${SANDBOX_KEYS[1]}"}
        reply = self.send("POST", "/", json={"query": query, "variables": variables}, headers=headers).json()
        if "errors" in reply:
            raise ValueError(reply["errors"][0]["message"])
        found: dict[str, Any] = reply["data"]
        return found

    def put(self, url: str, content: bytes) -> int:
        return self.send("PUT", url, content=content).status_code

    def send(self, method: str, url: str, **more: Any) -> httpx.Response:
        async def once() -> httpx.Response:
            transport = httpx.ASGITransport(app=self.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://sandbox.test") as client:
                return await client.request(method, url, **more)

        return asyncio.run(once())


@pytest.fixture
def asker(small_folder: Path, tmp_path: Path) -> Asker:
    clock = Clock()
    return Asker(make_app(small_folder, tmp_path, round_spec=RoundSpec(number=5), clock=clock), clock)


def test_a_round_opens_closes_and_takes_late_ones_in_its_time() -> None:
    clock = Clock()
    calendar = Calendar(RoundSpec(number=9, opens_in=10, open_seconds=100, late_seconds=50), clock)
    seen = []
    for passed in (0, 10, 109, 110, 159, 160):
        clock.now = 1_795_000_000.0 + passed
        current = calendar.current()
        seen.append((current["number"] if current else None, calendar.is_late))
    assert seen == [(None, False), (9, False), (9, False), (9, True), (9, True), (None, True)]


def test_a_submission_passes_through_its_states(asker: Asker, small_folder: Path) -> None:
    auth = asker.ask('{ submission_upload_auth(filename: "a.csv", tournament: 8) { filename url } }')
    ids = pd.read_parquet(small_folder / "live.parquet", columns=[]).index
    frame = pd.DataFrame({"id": ids, "prediction": np.linspace(0.1, 0.9, len(ids))})
    upload = auth["submission_upload_auth"]
    assert asker.put(upload["url"], frame.to_csv(index=False).encode()) == 200
    create = "mutation($f: String!) { createSubmission(filename: $f, tournament: 8) { status } }"
    assert asker.ask(create, f=upload["filename"]) == {"createSubmission": {"status": "pending"}}
    seen = []
    for _ in range(3):
        found = asker.ask(STATES)["submissions"][0]
        seen.append((found["status"], found["selected"]))
        asker.clock.now += 0.125
    assert seen == [("pending", False), ("running", False), ("success", True)]


def test_a_signed_address_expires(asker: Asker) -> None:
    auth = asker.ask('{ submission_upload_auth(filename: "a.csv", tournament: 8) { filename url } }')
    url = auth["submission_upload_auth"]["url"]
    asker.clock.now += 3601
    assert asker.put(url, b"late") == 403


def test_a_pickle_can_be_assigned_once_it_is_validated(asker: Asker) -> None:
    auth = asker.ask('{ computePickleUploadAuth(filename: "m.pkl") { filename url } }')["computePickleUploadAuth"]
    assert asker.put(auth["url"], b"pickle") == 200
    create = "mutation($f: String!) { createComputePickleUpload(filename: $f, tournament: 8) { id validationStatus } }"
    made = asker.ask(create, f=auth["filename"])["createComputePickleUpload"]
    assert made["validationStatus"] == "pending"
    assign = "mutation($p: ID) { assignPickleToModel(pickleId: $p) }"
    with pytest.raises(ValueError, match="not been validated"):
        asker.ask(assign, p=made["id"])
    asker.clock.now += 0.25
    assert asker.ask(assign, p=made["id"]) == {"assignPickleToModel": "true"}
    assert asker.ask("{ account { models { computePickleUpload { validationStatus } } } }") == {
        "account": {"models": [{"computePickleUpload": {"validationStatus": "validated"}}]}
    }


def test_a_name_cannot_leave_the_upload_folder(asker: Asker, tmp_path: Path) -> None:
    auth = asker.ask('{ submission_upload_auth(filename: "../../.evil name.csv", tournament: 8) { filename url } }')
    upload = auth["submission_upload_auth"]
    assert "/" not in upload["filename"]
    assert not upload["filename"].startswith(".")
    assert asker.put(upload["url"], b"x") == 200
    assert [path.name for path in (tmp_path / "uploads").iterdir()] == [upload["filename"]]
