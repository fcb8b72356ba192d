"""What `eraflow doctor` asks the Prefect server: versions, worker, schedules, the automation, the alert block."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import httpx

from flows.command.doctor.examine import Finding, judged, required

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

TIMEOUT_SECONDS = 5.0
POOL = "eraflow"
DEPLOY = "prefect deploy --all, in the root of the checkout; then eraflow go-live"


def examine_prefect(alert: str | None) -> tuple[list[Finding], bool]:
    """All checks of the server, and whether it answers.

    Args:
        alert: notification block to send a test message through; None: those that the deployments name.
    """
    from prefect.settings import PREFECT_API_URL

    url = PREFECT_API_URL.value()
    if not url:
        return list(_without_server(alert)), False
    try:
        httpx.get(f"{url}/health", timeout=TIMEOUT_SECONDS).raise_for_status()
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        remedy = "start it (eraflow server, or its unit in deployments/), or unset PREFECT_API_URL"
        return [Finding("prefect", "failed", f"{url} does not answer ({type(error).__name__})", remedy)], False
    return list(_told_as_far_as_it_goes(str(url), alert)), True


def _told_as_far_as_it_goes(url: str, alert: str | None) -> Iterator[Finding]:
    """The checks of a server, ended by a failed one where it refuses a question."""
    from prefect.exceptions import PrefectException

    try:
        yield from _with_server(url, alert)
    except (httpx.HTTPError, PrefectException) as error:
        told = str(error).splitlines() or [""]
        remedy = "look into the server's log; does its version fit, does it want a login (PREFECT_API_AUTH_STRING)?"
        yield Finding("prefect", "failed", f"{url} refuses a question ({type(error).__name__}: {told[0]})", remedy)


def _without_server(alert: str | None) -> Iterator[Finding]:
    yield Finding("prefect", "ok", "none is named: a run from the terminal brings its own; schedules need one")
    if alert is not None:
        remedy = "set PREFECT_API_URL: blocks live on a server"
        yield Finding("alert", "failed", f"{alert} was not sent: no server is named", remedy)


def _with_server(url: str, alert: str | None) -> Iterator[Finding]:
    from prefect.client.orchestration import get_client

    from tasks.golive import SCHEDULED
    from tasks.recovery.reconcile import our_deployments

    with get_client(sync_client=True) as client:
        yield server_version(url, client)
        yield worker(client)
        deployed = our_deployments(client)
        for deployment in deployed:
            if deployment.schedules:
                yield schedule(client, deployment)
        for name in sorted(set(SCHEDULED) - {one.name for one in deployed}):
            yield Finding(f"schedule {name}", "warning", "not deployed", "eraflow go-live")
        yield heartbeats(client, deployed)
    named = [alert] if alert else [_block_of(deployment) for deployment in deployed]
    yield from alerts({block for block in named if block})


def server_version(url: str, client: SyncPrefectClient) -> Finding:
    """Server and client must be of one version: an older server may not know what the client asks."""
    theirs, mine = client.api_version(), client.client_version()
    found = f"{url} answers, version {theirs}; here {mine}"
    return judged("prefect", theirs == mine, found, "restart the server from this installation")


def worker(client: SyncPrefectClient) -> Finding:
    """Whether somebody takes the runs."""
    from prefect.exceptions import ObjectNotFound

    begin = f'eval "$(eraflow server --print-env)"; prefect worker start --pool {POOL} (or its unit in deployments/)'
    try:
        pool = client.read_work_pool(POOL)
    except ObjectNotFound:
        remedy = f"prefect work-pool create {POOL} --type process; then {begin}"
        return Finding("worker", "warning", f"there is no work pool {POOL}", remedy)
    if pool.is_paused:
        return Finding("worker", "failed", f"the work pool {POOL} is paused", f"prefect work-pool resume {POOL}")
    workers = client.read_workers_for_work_pool(POOL)
    online = [one for one in workers if one.status.value == "ONLINE"]
    beats = [one.last_heartbeat_time for one in workers if one.last_heartbeat_time]
    last = f", last heartbeat {_ago(max(beats))}" if beats else ""
    names = ", ".join(one.name for one in online)
    found = f"{names} online{last}" if online else f"no worker of the pool {POOL} is online{last}"
    return required("worker", bool(online), found, begin)


def schedule(client: SyncPrefectClient, deployment: Any) -> Finding:
    """Whether the schedule really made runs: with a wrong sqlalchemy it stays silent and everything else works."""
    from prefect.client.schemas.filters import (
        DeploymentFilter,
        DeploymentFilterId,
        FlowRunFilter,
        FlowRunFilterExpectedStartTime,
    )
    from prefect.client.schemas.sorting import FlowRunSort

    name = f"schedule {deployment.name}"
    if deployment.paused or not any(one.active for one in deployment.schedules):
        return Finding(name, "warning", "it is switched off", "eraflow go-live")
    after = FlowRunFilterExpectedStartTime(after_=datetime.now(UTC))
    runs = client.read_flow_runs(
        deployment_filter=DeploymentFilter(id=DeploymentFilterId(any_=[deployment.id])),
        flow_run_filter=FlowRunFilter(expected_start_time=after),
        sort=FlowRunSort.EXPECTED_START_TIME_ASC,
    )
    coming = [run.expected_start_time for run in runs if run.auto_scheduled and run.expected_start_time]
    if not coming:
        remedy = "look for errors in the server's log; check sqlalchemy above; a new schedule needs a minute"
        return Finding(name, "failed", "active, but no run is scheduled", remedy)
    return Finding(name, "ok", f"next run {coming[0]:%A %Y-%m-%d %H:%M} UTC, {len(coming)} scheduled")


def heartbeats(client: SyncPrefectClient, deployed: Sequence[Any]) -> Finding:
    """The automation that finds runs whose computer died, and runs that beat too seldom for it."""
    from tasks.recovery.heartbeats import FREQUENCY, HEARTBEAT_SECONDS, is_installed

    slow = [
        one.name
        for one in deployed
        if (one.job_variables or {}).get("env", {}).get(FREQUENCY) != str(HEARTBEAT_SECONDS)
    ]
    if not is_installed(client):
        found = "not on the server: a run whose computer died stays Running for ever"
        return Finding("heartbeat watch", "warning", found, "eraflow resume --install")
    found = f"on the server, but {', '.join(slow)} would be taken for dead" if slow else "on the server"
    remedy = f'set {FREQUENCY}: "{HEARTBEAT_SECONDS}" in their job_variables as prefect.yaml does, then {DEPLOY}'
    return required("heartbeat watch", not slow, found, remedy)


def alerts(blocks: set[str]) -> Iterator[Finding]:
    """A test message through each block: the only proof that somebody is told."""
    from tasks.alert import AlertError, send_alert

    if not blocks:
        remedy = "eraflow go-live --webhook URL; or `eraflow alert --webhook URL` and --set alert.block=..."
        yield Finding("alert", "warning", "no block is named: nobody is told of a failed week", remedy)
    for block in sorted(blocks):
        try:
            send_alert(
                block, "Eraflow: a test", "A test message of `eraflow doctor` or `eraflow go-live`. Nothing is wrong."
            )
        except AlertError as error:
            yield Finding("alert", "failed", error.problem, error.remedy)
        else:
            yield Finding("alert", "ok", f"a test message was sent through {block}; see that it arrived")


def _block_of(deployment: Any) -> str | None:
    settings = (deployment.parameters or {}).get("settings") or {}
    block = (settings.get("alert") or {}).get("block") if isinstance(settings, dict) else None
    return str(block) if block else None


def _ago(moment: datetime) -> str:
    return f"{(datetime.now(UTC) - moment).total_seconds():.0f} s ago"
