"""prefect.yaml, read without a server."""

from pathlib import Path

import pytest
import yaml
from prefect.client.schemas.schedules import construct_schedule
from prefect.flows import load_flow_from_entrypoint

ROOT = Path(__file__).parent.parent.parent
DEPLOYMENTS = {entry["name"]: entry for entry in yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]}


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_every_deployment_starts_with_parameters_that_its_flow_accepts(name, monkeypatch):
    monkeypatch.chdir(ROOT)
    entry = DEPLOYMENTS[name]
    flow = load_flow_from_entrypoint(entry["entrypoint"])
    checked = flow.validate_parameters(entry["parameters"])
    assert checked["settings"].profile == entry["parameters"]["settings"]["profile"]
    assert entry["concurrency_limit"]["limit"] == 1
    assert entry["work_pool"]["name"] == "eraflow"


def test_the_week_begins_before_the_round_opens_and_is_insured_before_it_closes():
    schedules = {name: entry.get("schedules", []) for name, entry in DEPLOYMENTS.items()}
    for entries in schedules.values():
        for entry in entries:
            construct_schedule(cron=entry["cron"], timezone=entry["timezone"])
    assert [(e["cron"], e["timezone"]) for e in schedules["weekly"]] == [("0 4 * * 6", "UTC")]
    assert [(e["cron"], e["timezone"]) for e in schedules["daily"]] == [("0 12 * * 2-5", "UTC")]
    assert [(e["cron"], e["timezone"]) for e in schedules["insurance"]] == [("0 12 * * 0", "UTC")]
    assert schedules["sandbox"] == []


def test_nothing_is_left_open_that_prefect_deploy_would_ask_for_in_a_terminal():
    for name, entry in DEPLOYMENTS.items():
        assert {"name", "entrypoint", "schedules", "work_pool"} <= entry.keys(), name


def test_whatever_has_a_schedule_is_made_paused():
    """Without keys and slot it would fail each week; `eraflow go-live` switches it on."""
    for name, entry in DEPLOYMENTS.items():
        assert bool(entry.get("paused")) is bool(entry.get("schedules")), name
