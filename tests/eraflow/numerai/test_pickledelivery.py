"""A model delivered to the sandbox: found or uploaded, validated, assigned and run, once; each fault by its name."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import requests

from eraflow.disk.atomic import StorageError
from eraflow.numerai.client import Slot, Tournament
from eraflow.numerai.errors import UploadRefusedError
from eraflow.numerai.graphql import Endpoint
from eraflow.numerai.pickledelivery import Waits
from eraflow.numerai.pickleerrors import (
    NotOfferedError,
    SlotHoldsPickleError,
    SlotSentPredictionsError,
)
from eraflow.numerai.pickleupload import WantedUpload
from eraflow.numerai.submission_csv import write_submission
from eraflow.sandbox.generate import generate
from eraflow.sandbox.process import SandboxAddress, sandbox
from eraflow.settings.source import SandboxSettings

SMALL = SandboxSettings(train_eras=30, validation_eras=20, rows_per_era=40, features=12)
WAITS = Waits(20.0, 20.0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return generate(tmp_path_factory.mktemp("data"), SMALL)


@pytest.fixture
def address(folder: Path, tmp_path: Path) -> Iterator[SandboxAddress]:
    with sandbox(folder, tmp_path / "state") as running:
        yield running


@pytest.fixture
def tournament(address: SandboxAddress) -> Tournament:
    endpoint = Endpoint(address.url, address.public_id, address.secret_key)
    return Tournament(endpoint, call_seconds=20, attempts=3, jitter=lambda: 0.01)


@pytest.fixture
def arm(address: SandboxAddress) -> Callable[..., None]:
    def change(**values: Any) -> None:
        requests.post(f"{address.url}/sandbox/faults", json=values, timeout=10).raise_for_status()

    return change


@pytest.fixture
def wanted(tmp_path: Path) -> WantedUpload:
    path = tmp_path / "model.pkl"
    path.write_bytes(b"the bytes of a model")
    return WantedUpload(path, sha256(path.read_bytes()).hexdigest(), "3.11", "v5.3")


@pytest.fixture
def deliver(tournament: Tournament, wanted: WantedUpload) -> Callable[..., Any]:
    def send(**changes: Any) -> tuple[Any, list[tuple[str, str]]]:
        seen: list[tuple[str, str]] = []
        found = tournament.deliver_model(
            replace(wanted, **changes),
            tournament.model_id(None),
            tournament.current_round(),
            WAITS,
            lambda what, word, said: seen.append((what, word)),
        )
        return found, seen

    return send


def test_a_model_is_delivered_once_and_each_state_is_shown(
    deliver: Callable[..., Any], tournament: Tournament, wanted: WantedUpload
) -> None:
    first, seen = deliver()
    assert wanted.stem in first.pickle.filename
    assert (first.pickle.image, first.pickle.data_version) == ("Python 3.11", "v5.3")
    assert ("slot", "assigned") in seen
    assert seen.index(("validation", "validated")) < seen.index(("slot", "assigned")) < seen.index(("run", "success"))
    held = tournament.active_model(tournament.model_id(None))
    assert held is not None
    assert held.id == first.pickle.id
    again, _ = deliver()
    assert (again.pickle.id, again.run.id) == (first.pickle.id, first.run.id)


def test_another_image_is_another_upload(deliver: Callable[..., Any]) -> None:
    first, _ = deliver()
    other, _ = deliver(python="3.12")
    assert first.pickle.id != other.pickle.id
    assert other.pickle.image == "Python 3.12"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"python": "3.1"}, "no image for Python 3.1; it offers Python 3.10, Python 3.11"),
        ({"data_version": "v9.9"}, "no data version v9.9; it offers v5.3"),
    ],
)
def test_what_is_not_offered_is_named_with_what_is(
    deliver: Callable[..., Any], changes: dict[str, str], said: str
) -> None:
    with pytest.raises(NotOfferedError, match=said):
        deliver(**changes)


def test_other_bytes_than_the_rehearsed_are_not_sent(deliver: Callable[..., Any], wanted: WantedUpload) -> None:
    wanted.pickle.write_bytes(b"other bytes")
    with pytest.raises(StorageError, match="has changed since it was rehearsed"):
        deliver()


def test_a_refused_put_registers_nothing(deliver: Callable[..., Any], arm: Callable[..., None]) -> None:
    arm(put_403=2)
    with pytest.raises(UploadRefusedError, match="403"):
        deliver()
    found, _ = deliver()
    assert found.run.status == "success"


@pytest.mark.parametrize("fault", ["put_500", "server_500", "api_429", "put_reset"])
def test_a_passing_fault_is_survived(deliver: Callable[..., Any], arm: Callable[..., None], fault: str) -> None:
    arm(**{fault: 1})
    found, _ = deliver()
    assert found.run.status == "success"


def test_a_slot_with_a_model_takes_no_predictions_until_it_is_set_free(
    deliver: Callable[..., Any], tournament: Tournament
) -> None:
    slot = tournament.slot(None)
    tournament.check_takes_predictions(slot)
    deliver()
    with pytest.raises(SlotHoldsPickleError, match="eraflow upload --unassign"):
        tournament.check_takes_predictions(slot)
    tournament.unassign(slot.id)
    tournament.check_takes_predictions(Slot(slot.id, slot.name))


def test_a_slot_that_predictions_were_filed_for_gets_no_model(
    deliver: Callable[..., Any], tournament: Tournament, folder: Path, tmp_path: Path
) -> None:
    ids = pq.read_table(folder / "live.parquet", columns=["id"])["id"].to_pylist()
    csv = write_submission(ids, list(range(len(ids))), tmp_path / "submission.csv")
    current = tournament.current_round()
    assert current is not None
    tournament.submit(csv, tournament.model_id(None), current.number, confirm_seconds=20)
    with pytest.raises(SlotSentPredictionsError, match=r"submit\.replace=true uploads it all the same"):
        deliver()


STEPS = 40
"""More requests than a delivery makes, so that the last one is not killed at all."""


@pytest.mark.parametrize("answered", [False, True])
def test_a_sender_killed_at_any_request_uploads_and_triggers_once(
    tournament: Tournament, wanted: WantedUpload, tmp_path: Path, answered: bool
) -> None:
    """Killed before a request is sent, or after the server has answered it and before anybody knows."""
    model_id, round_now, survived = tournament.model_id(None), tournament.current_round(), 0
    for step in range(1, STEPS + 1):
        (tmp_path / "model.pkl").write_bytes(f"model {answered} {step}".encode())
        mine = replace(wanted, sha256=sha256(wanted.pickle.read_bytes()).hexdigest())
        child = os.fork()
        if child == 0:
            _kill_at(step, answered=answered)
            tournament.deliver_model(mine, model_id, round_now, WAITS, lambda *_: None)
            os._exit(0)
        survived += os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        found = tournament.deliver_model(mine, model_id, round_now, WAITS, lambda *_: None)
        state = json.loads((tmp_path / "state" / "state.json").read_text())
        uploads = [row["id"] for row in state["pickles"] if mine.stem in row["filename"]]
        runs = [row["id"] for row in state["triggers"] if row["pickle"] == found.pickle.id]
        assert (uploads, runs, state["assigned"][model_id]) == ([found.pickle.id], [found.run.id], found.pickle.id)
        if survived:
            break
    assert survived == 1, "every delivery was killed: there are more steps than were tried"
    assert step > 6


def _kill_at(step: int, *, answered: bool) -> None:
    """End this process at its request of that number."""
    count, send = iter(range(1, 1_000_000)), requests.Session.send

    def counted(self: Any, request: Any, **options: Any) -> Any:
        mine = next(count) == step
        if mine and not answered:
            os.kill(os.getpid(), signal.SIGKILL)
        reply = send(self, request, **options)
        if mine:
            os.kill(os.getpid(), signal.SIGKILL)
        return reply

    requests.Session.send = counted  # type: ignore[method-assign]
