"""What a held week keeps for later, and what it must not touch."""

import logging

import pytest

from eraflow.disk.atomic import write_json
from eraflow.runs.conclusion import SUBMISSION
from eraflow.settings.run import RunSettings
from tasks import submit
from tasks.run import Run


class PredictedAgainError(Exception):
    pass


@pytest.fixture
def held_run(tmp_path, monkeypatch):
    def predict(*given):
        raise PredictedAgainError

    monkeypatch.setattr(submit, "predict_twice", predict)
    monkeypatch.setattr(submit, "get_run_logger", lambda: logging.getLogger("test"))
    return Run(RunSettings(home=str(tmp_path)), tmp_path / "run")


def keep(run):
    return submit.keep_for_later(run, None, None, run.path, "signature", run.path / "live.parquet", None)


def test_an_upload_that_may_have_arrived_is_not_written_over(held_run, caplog):
    path = held_run.path / SUBMISSION
    path.parent.mkdir(parents=True)
    write_json(path, {"sending": True, "state": None})
    before = path.read_bytes()
    assert keep(held_run) is False
    assert path.read_bytes() == before
    assert "may have arrived" in caplog.text


@pytest.mark.parametrize("record", [None, {"sending": False, "state": None}])
def test_where_nothing_was_sent_the_prediction_is_made(held_run, record):
    if record is not None:
        (held_run.path / SUBMISSION).parent.mkdir(parents=True)
        write_json(held_run.path / SUBMISSION, record)
    with pytest.raises(PredictedAgainError):
        keep(held_run)
