"""What the sandbox does wrong with uploaded models, on demand: the faults of `eraflow.sandbox.faults`."""

from __future__ import annotations

from typing import Any

from graphql import DocumentNode

from eraflow.sandbox import protocol
from eraflow.sandbox.faults import Faults
from eraflow.sandbox.operations import Operations

PICKLE_CHANGES = ("createComputePickleUpload", "triggerComputePickleUpload")
_TOLD = "the sandbox was told to fail"


def after_pickle_change(
    operations: Operations, faults: Faults, document: DocumentNode, reply: dict[str, Any]
) -> tuple[int, dict[str, Any]]:
    """What becomes of an upload or a run that was just registered, and what its sender hears."""
    created = protocol.asks_for(document, "createComputePickleUpload")
    kind, names = ("pickles", ("pickle_fails", "pickle_stuck")) if created else ("triggers", ("run_fails", "run_stuck"))
    fails, stuck = (faults.take(name) for name in names)
    with operations.records.changing() as data:
        row = data[kind][-1]
        if fails:
            row.update(runs=False, failed=True, error=_TOLD, log=["Traceback (most recent call last):", _TOLD])
        if stuck:
            row.update(stuck=True)
        if created and faults.take("diagnostics_differ"):
            row.update(shifted=-0.2)
    if created and faults.take("pickle_create_lost"):
        return 500, {"errors": [{"message": "Internal server error"}]}
    return 200, reply
