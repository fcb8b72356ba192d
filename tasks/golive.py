"""The scheduled deployments: made where they are missing, told what the person chose, and switched on and off."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import DeploymentUpdate, WorkPoolCreate
from prefect.client.schemas.responses import DeploymentResponse
from prefect.exceptions import ObjectNotFound
from pydantic import ValidationError

from eraflow.errors import EraflowError, SettingsError
from eraflow.settings.run import RunSettings, merge
from tasks.recovery.reconcile import our_deployments

POOL, POOL_TYPE = "eraflow", "process"
SCHEDULED = ("weekly", "daily", "insurance")
PREFECT_FILE = "prefect.yaml"
DEPLOY_SECONDS = 180.0


class DeployError(EraflowError):
    """The deployments could not be made. The message holds what Prefect said."""

    code = "deploy"


def scheduled_deployments(client: SyncPrefectClient) -> dict[str, DeploymentResponse]:
    """The deployments that have a schedule, by name."""
    return {one.name: one for one in our_deployments(client) if one.name in SCHEDULED and one.schedules}


def deploy_missing(client: SyncPrefectClient, root: Path) -> list[str]:
    """Make the work pool and the deployments where one is missing, all of them paused; the names of those made.

    Args:
        client: of the server that is to know them.
        root: the source checkout, in which the worker will start each flow.

    Raises:
        DeployError: this is no checkout, or Prefect refuses.
    """
    missing = [name for name in SCHEDULED if name not in scheduled_deployments(client)]
    if not missing:
        return []
    if not (root / PREFECT_FILE).is_file():
        raise DeployError(
            f"there is no {PREFECT_FILE} in {root}", "schedules need a source checkout: run this from the one in use"
        )
    try:
        client.read_work_pool(POOL)
    except ObjectNotFound:
        client.create_work_pool(WorkPoolCreate(name=POOL, type=POOL_TYPE))
    done = subprocess.run(
        [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all"],
        cwd=root,
        env={**os.environ, "PREFECT_API_URL": str(client.api_url).rstrip("/"), "PWD": str(root)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=DEPLOY_SECONDS,
        check=False,
    )
    if done.returncode != 0 or set(SCHEDULED) - scheduled_deployments(client).keys():
        told = (done.stderr or done.stdout).strip()[-800:]
        raise DeployError(f"`prefect deploy --all` failed: {told}", f"correct {root / PREFECT_FILE}, then try again")
    return missing


def with_choices(deployment: DeploymentResponse, chosen: Mapping[str, Any]) -> dict[str, Any]:
    """The deployment's parameters with what was chosen laid on its settings.

    Raises:
        SettingsError: they are no settings of a run.
    """
    parameters = dict(deployment.parameters or {})
    settings = merge(dict(parameters.get("settings") or {}), dict(chosen))
    try:
        RunSettings.model_validate(settings)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in fault["loc"])
        raise SettingsError(
            f"the settings of the deployment {deployment.name} do not hold: {where}: {fault['msg']}",
            f"correct its parameters in {PREFECT_FILE} or in the Prefect UI",
        ) from error
    return {**parameters, "settings": settings}


def switch_on(client: SyncPrefectClient, deployments: Sequence[DeploymentResponse], chosen: Mapping[str, Any]) -> None:
    """Store what was chosen in all of them, and only then let their schedules run.

    Raises:
        SettingsError: some settings do not hold; then nothing is changed.
    """
    parameters = [(one, with_choices(one, chosen)) for one in deployments]
    for one, values in parameters:
        client.update_deployment(one.id, DeploymentUpdate(parameters=values))
    for one in deployments:
        for schedule in one.schedules:
            client.update_deployment_schedule(one.id, schedule.id, active=True)
        client.resume_deployment(one.id)


def switched_on(deployment: DeploymentResponse) -> bool:
    """Whether a schedule of it begins runs."""
    return not deployment.paused and any(schedule.active for schedule in deployment.schedules)


def switch_off(client: SyncPrefectClient, deployments: Sequence[DeploymentResponse]) -> None:
    """Let no schedule begin a run any more; one that is at work goes on, and parameters stay."""
    for one in deployments:
        client.pause_deployment(one.id)
