"""What goes wrong with an uploaded model there: each has a name, and nothing is uploaded twice for it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from eraflow.numerai.pickledelivery import Waits
from eraflow.numerai.pickleerrors import (
    NotOfferedError,
    PickleNotReadyError,
    PickleRejectedError,
    PickleRunFailedError,
)
from eraflow.numerai.pickleupload import WantedUpload
from eraflow.rehearsal.environment import rehearsal_folder
from eraflow.sandbox.generate import generate
from eraflow.sandbox.process import sandbox
from tests.eraflow.numerai.hostile.conftest import SMALL, Hostile
from tests.eraflow.rehearsal.environments import BUILT, KEPT, interpreter
from tests.eraflow.sandbox.test_pickleruns import HONEST

WAITS, SHORT = Waits(20.0, 20.0), Waits(1.0, 1.0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return generate(tmp_path_factory.mktemp("data"), SMALL)


@pytest.fixture
def own(folder: Path, tmp_path: Path) -> Iterator[Hostile]:
    """A sandbox to which no other test has sent predictions: a slot takes these or a model."""
    with sandbox(folder, tmp_path / "state") as address:
        yield Hostile(address, folder)


@pytest.fixture
def wanted(tmp_path: Path) -> WantedUpload:
    path = tmp_path / "model.pkl"
    path.write_bytes(b"the bytes of a model")
    return WantedUpload(path, sha256(path.read_bytes()).hexdigest(), "3.11", "v5.3")


@pytest.fixture
def registered(tmp_path: Path) -> Callable[[], tuple[int, int]]:
    """How many models the sandbox has, and how many runs of them."""

    def read() -> tuple[int, int]:
        state = json.loads((tmp_path / "state" / "state.json").read_text())
        return len(state["pickles"]), len(state["triggers"])

    return read


def deliver(server: Hostile, wanted: WantedUpload, waits: Waits = WAITS) -> tuple[Any, list[tuple[str, str, str]]]:
    """What came of it, and what was shown on the way."""
    seen: list[tuple[str, str, str]] = []
    client = server.client(call_seconds=20)
    slot, current = client.model_id(None), client.current_round()
    return client.deliver_model(wanted, slot, current, waits, lambda *told: seen.append(told)), seen


@pytest.mark.parametrize(
    ("fault", "error", "said"),
    [
        ("pickle_fails", PickleRejectedError, "the sandbox was told to fail"),
        ("run_fails", PickleRunFailedError, "the sandbox was told to fail"),
        ("pickle_stuck", PickleNotReadyError, "did not validate the model within 1 s"),
        ("run_stuck", PickleNotReadyError, "did not run the model within 1 s"),
        ("image_gone", NotOfferedError, "no image for Python 3.11 any more: it is deprecated"),
    ],
)
def test_what_goes_wrong_there_has_a_name_and_its_log(
    own: Hostile, wanted: WantedUpload, fault: str, error: type[Exception], said: str
) -> None:
    own.arm(**{fault: 1})
    with pytest.raises(error, match=said):
        deliver(own, wanted, SHORT)


def test_a_model_that_failed_is_sent_again_and_a_run_that_failed_is_asked_for_again(
    own: Hostile, wanted: WantedUpload, registered: Callable[[], tuple[int, int]]
) -> None:
    own.arm(pickle_fails=1)
    with pytest.raises(PickleRejectedError):
        deliver(own, wanted)
    own.arm(run_fails=1)
    with pytest.raises(PickleRunFailedError):
        deliver(own, wanted)
    found, seen = deliver(own, wanted)
    assert found.run.status == "success"
    assert registered() == (2, 2)
    assert ("run", "error") in [told[:2] for told in seen]


def test_a_lost_answer_to_the_registration_registers_once(
    own: Hostile, wanted: WantedUpload, registered: Callable[[], tuple[int, int]]
) -> None:
    own.arm(pickle_create_lost=1)
    deliver(own, wanted)
    assert registered() == (1, 1)


@BUILT
def test_diagnostics_of_another_model_are_told_as_they_are(folder: Path, tmp_path: Path) -> None:
    """What they say is compared with the backtest by `eraflow.scoring.againstdiagnostics`."""
    python, means = interpreter("3.11"), []
    with sandbox(folder, tmp_path / "state", rehearsals=rehearsal_folder(KEPT)) as address:
        server = Hostile(address, folder)
        for place, faults in enumerate([{}, {"diagnostics_differ": 1}]):
            path = tmp_path / f"model{place}.pkl"
            code = f"{HONEST}\nimport cloudpickle\nplace = {place}\npredict.__doc__ = 'model {place}'\n"
            code += f"open({str(path)!r}, 'wb').write(cloudpickle.dumps(predict))"
            subprocess.run([str(python), "-I", "-c", code], check=True)
            server.arm(**faults)
            wanted = WantedUpload(path, sha256(path.read_bytes()).hexdigest(), "3.11", "v5.3")
            found, _ = deliver(server, wanted, Waits(120.0, 60.0))
            client = server.client(call_seconds=30)
            told = client.diagnostics(client.model_id(None), found.pickle, 120.0)
            assert told is not None
            means.append(told.mean)
    assert means[1] == pytest.approx(means[0] - 0.2)
