"""The automation that declares a run crashed when its heartbeats stop: after a power cut nobody else can.

A worker reports a flow process that dies. When the worker dies with it, the run stays Running for ever.
"""

from __future__ import annotations

from datetime import timedelta

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import StateType
from prefect.events.actions import ChangeFlowRunState
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture

from tasks.recovery.reconcile import NO_SIGN_OF_LIFE, TAG

NAME = "eraflow: crash runs whose heartbeats stopped"
FREQUENCY = "PREFECT_FLOWS_HEARTBEAT_FREQUENCY"  # set for the deployments in prefect.yaml
HEARTBEAT_SECONDS = 30  # Prefect's minimum
# Prefect asks for two missed beats at least; 75 s was measured to find a dead run 65 s after its death.
WITHIN_SECONDS = 75
BEAT = "prefect.flow-run.heartbeat"
# The names of every state that a run can end in. Held is ours.
ENDS = ("Completed", "Failed", "Cancelled", "Crashed", "Held")


def heartbeat_automation() -> AutomationCore:
    """The automation as it must stand on the server.

    Only runs of deployments with the tag `eraflow` are watched: they beat every 30 s, a run that beats every 180 s,
    which is Prefect's default, would be taken for dead.
    """
    return AutomationCore(
        name=NAME,
        description="A run of Eraflow whose heartbeats stop has lost its computer; `eraflow resume` reschedules it.",
        enabled=True,
        trigger=EventTrigger(
            after={BEAT},
            expect={BEAT, *(f"prefect.flow-run.{name}" for name in ENDS)},
            match={"prefect.resource.id": ["prefect.flow-run.*"]},
            match_related={"prefect.resource.role": "tag", "prefect.resource.id": f"prefect.tag.{TAG}"},
            for_each={"prefect.resource.id"},
            posture=Posture.Proactive,
            threshold=1,
            within=timedelta(seconds=WITHIN_SECONDS),
        ),
        actions=[
            ChangeFlowRunState(state=StateType.CRASHED, message=f"{NO_SIGN_OF_LIFE} for {WITHIN_SECONDS} s"),
        ],
    )


def install(client: SyncPrefectClient) -> str:
    """Put the automation on the server: `created`, `updated`, or `unchanged`. A second one of its name is removed."""
    wanted, found = heartbeat_automation(), client.read_automations_by_name(NAME)
    for double in found[1:]:
        client.delete_automation(double.id)
    if not found:
        client.create_automation(wanted)
        return "created"
    if _content(found[0]) == _content(wanted):
        return "unchanged"  # writing it again would make the server forget the beats it has seen
    client.update_automation(found[0].id, wanted)
    return "updated"


def is_installed(client: SyncPrefectClient) -> bool:
    """Whether the server has the automation, as it should be and switched on."""
    return any(_content(found) == _content(heartbeat_automation()) for found in client.read_automations_by_name(NAME))


def _content(automation: AutomationCore) -> dict[str, object]:
    """What decides about two automations being the same; sets in order."""
    values = automation.model_dump(mode="json", include={"name", "enabled", "trigger", "actions"})
    return {**values, "trigger": {key: _ordered(value) for key, value in values["trigger"].items() if key != "id"}}


def _ordered(value: object) -> object:
    return sorted(value) if isinstance(value, list) else value
