"""A week that sends its model: run by the sandbox for real, followed by the days after, kept, and restored."""

import json
from pathlib import Path

import pytest

from eraflow.disk.digest import file_sha256
from eraflow.disk.ownership import mark_home
from eraflow.numerai.uploadstore import FOLDER
from eraflow.rehearsal.environment import rehearsal_folder
from eraflow.sandbox.process import SandboxAddress
from flows.command.cli import main
from flows.daily import daily
from flows.weekly import weekly
from tests.eraflow.rehearsal.environments import BUILT, KEPT, interpreter
from tests.weeks import tiny

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("prefect_server"), BUILT]
PICKLE = {"as": "pickle", "python": "3.11", "model_minutes": 3, "confirm_minutes": 3}


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A home that finds the environment of the rehearsal."""
    interpreter("3.11")
    home = tmp_path_factory.mktemp("home")
    mark_home(home)
    place = rehearsal_folder(home)
    place.parent.mkdir(parents=True)
    place.symlink_to(rehearsal_folder(KEPT))
    return home


@pytest.fixture(scope="module")
def secrets():
    """The secret keys of all sandboxes that were started."""
    seen, made = [], SandboxAddress.__init__

    def noted(self, *values, **named):
        made(self, *values, **named)
        seen.append(self.secret_key)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SandboxAddress, "__init__", noted)
        yield seen


@pytest.fixture(scope="module")
def first(home, secrets, prefect_server):
    """The week that uploads the first model."""
    return weekly(tiny(home, run_dir=str(home / "first"), submit=PICKLE))


@pytest.fixture(scope="module")
def second(home, first):
    """The same round again, by another ensemble."""
    models = [{"kind": "lightgbm", "params": {"n_estimators": 20, "learning_rate": 0.1}}]
    return weekly(tiny(home, run_dir=str(home / "second"), submit=PICKLE, models=models))


def kept(home):
    """Name -> hash of the models that are kept."""
    return {path.parent.name: file_sha256(path) for path in (home / FOLDER).rglob("model.pkl")}


def active(home, capfd):
    """The name of the model that the slot runs, as `eraflow upload --list` tells it."""
    assert main(["upload", "--list", "--run-dir", str(home / "first"), "--json"]) == 0
    models = json.loads(capfd.readouterr().out.splitlines()[-1])["models"]
    return [one["name"] for one in models if one["active"]]


def test_the_week_uploads_what_was_rehearsed_and_the_slot_runs_it(home, first, capfd):
    assert first["outcome"] == "submitted"
    assert first["submission"]["state"]["status"] == "success"  # of what the uploaded model has predicted itself
    [(name, digest)] = kept(home).items()
    model = Path(first["run_dir"]) / "upload" / "model.pkl"
    assert file_sha256(model) == digest == first["submission"]["file"]["sha256"]
    assert active(home, capfd) == [name]


def test_neither_the_model_nor_what_is_kept_with_it_holds_the_secret_key(home, first, secrets):
    assert secrets
    files = [path for path in home.rglob("*") if path.is_file() and "sandbox" not in path.relative_to(home).parts]
    assert any(path.name == "model.pkl" for path in files)
    found = [path for path in files for secret in secrets if str(secret).encode() in path.read_bytes()]
    assert found == []


def test_the_day_after_finds_the_run_of_the_model_and_uploads_nothing(home, first):
    before = kept(home)
    record = daily(tiny(home, run_dir=str(home / "daily"), submit=PICKLE))
    assert record["outcome"] == "submitted"
    assert kept(home) == before
    assert "predict-live" not in record["stages"]


def test_predictions_are_not_sent_to_a_slot_that_runs_a_model(home, first):
    with pytest.raises(Exception, match=r"slot_holds_pickle.*--unassign"):
        weekly(tiny(home, run_dir=str(home / "csv")))


def test_the_model_before_is_restored_byte_for_byte_and_a_damaged_one_is_not(home, first, second, capfd):
    [old] = [name for name, digest in kept(home).items() if digest == first["submission"]["file"]["sha256"]]
    [new] = [name for name, digest in kept(home).items() if digest == second["submission"]["file"]["sha256"]]
    assert old != new
    assert active(home, capfd) == [new]
    restore = ["upload", "--restore", "--run-dir", str(home / "first")]
    assert main(restore) == 0
    assert active(home, capfd) == [old]
    [pickle] = [path for path in (home / FOLDER).rglob("model.pkl") if path.parent.name == new]
    pickle.write_bytes(pickle.read_bytes() + b"\0")
    assert main(restore) == 1
    assert "kept_model" in capfd.readouterr().err
    assert active(home, capfd) == [old]
