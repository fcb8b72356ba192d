"""The page that shows what the watch saw, and the sizes that the tasks tell."""

import base64
import json
import re

import pytest

from eraflow.machine.recorder import WATCH_FILE
from eraflow.reports.learningcurve import CURVES, write_curves
from tasks.needs import predict_need
from tasks.pages import watchpage
from tasks.pages.watchpage import show_watch, watch_page


def attempt(outcome="ok", seconds=60.0, **channels):
    memory = {"points": [[0.0, 100.0], [seconds, 900.0]], "peak": 900.0}
    return {
        "seconds": seconds,
        "outcome": outcome,
        "budget_mb": 1000,
        "soft_at": 50.0,
        "notes": ["WARNING it is warm"],
        "channels": {"memory_mb": memory, **channels},
    }


def pictures(page):
    return [base64.b64decode(found) for found in re.findall(r"data:image/png;base64,([^)]+)", page)]


def test_the_page_shows_memory_budget_and_every_peak():
    page = watch_page("train-a", [attempt("oom"), attempt(temperature_c={"points": [[1.0, 71.0]], "peak": 71.0})], [])
    assert len(pictures(page)) == 1
    assert pictures(page)[0].startswith(b"\x89PNG")
    assert "| oom | 60 | 1,000 | after 50 s | 900 |" in page
    assert "hottest" in page
    assert "GPU" not in page  # a column only where something was read
    assert "- WARNING it is warm" in page


def test_a_training_has_a_picture_of_its_own():
    points = [{"fit": 0, "step": step, "loss": 1 / step, "grad_norm": None, "rate": 0.1} for step in range(1, 9)]
    assert len(pictures(watch_page("train-a", [attempt()], points))) == 2


def test_networks_have_their_learning_curves_on_the_page_and_in_the_folder(tmp_path, monkeypatch):
    made = []
    monkeypatch.setattr(watchpage, "create_markdown_artifact", lambda text, **more: made.append(text))
    (tmp_path / WATCH_FILE).write_text(json.dumps({"attempts": [attempt(seconds=1.0)]}))
    write_curves(tmp_path, 0, [[(20, 1.0, 0.01), (40, 0.9, 0.02)]])
    show_watch("train-a", tmp_path)
    assert pictures(made[0])[1] == (tmp_path / CURVES).read_bytes()


def test_curves_that_cannot_be_drawn_cost_nothing(tmp_path, monkeypatch, caplog):
    write_curves(tmp_path, 0, [[(20, 1.0, 0.01)]])
    monkeypatch.setattr(watchpage, "learning_chart", lambda *_, **__: 1 / 0)
    show_watch("train-a", tmp_path)
    assert "cannot be drawn" in caplog.text
    assert not (tmp_path / CURVES).exists()


@pytest.mark.parametrize(
    ("rows", "shown"),
    [([attempt(seconds=1.0)], 0), ([attempt("killed", seconds=1.0)], 1), ([attempt()], 1), ([], 0)],
)
def test_short_stages_are_shown_only_when_they_failed(tmp_path, monkeypatch, rows, shown):
    made = []
    monkeypatch.setattr(watchpage, "create_markdown_artifact", lambda text, **more: made.append(more["key"]))
    (tmp_path / WATCH_FILE).write_text(json.dumps({"attempts": rows}))
    show_watch("train-a_b", tmp_path)
    assert made == ["watch-train-a-b"] * shown


def test_an_artifact_that_fails_costs_nothing(tmp_path, monkeypatch, caplog):
    def refused(*_, **__):
        raise ConnectionError("no server")

    monkeypatch.setattr(watchpage, "create_markdown_artifact", refused)
    (tmp_path / WATCH_FILE).write_text('{"attempts": [{"seconds": 9, "outcome": "ok", "channels": {}}]}')
    show_watch("train-a", tmp_path)
    assert "an artifact cannot be shown" in caplog.text


def test_a_prediction_of_unreadable_files_has_no_size(tmp_path):
    assert predict_need(tmp_path, tmp_path / "live.parquet") is None


@pytest.mark.server
@pytest.mark.usefixtures("prefect_server")
def test_the_server_takes_the_page(tmp_path):
    from prefect.artifacts import Artifact

    points = [[float(second), 500.0 + second] for second in range(600)]
    row = attempt(memory_mb={"points": points, "peak": 1100.0})
    (tmp_path / WATCH_FILE).write_text(json.dumps({"attempts": [row] * 5}))
    show_watch("train-shown", tmp_path)
    found = Artifact.get("watch-train-shown")
    assert found is not None
    assert len(pictures(found.data)) == 1
