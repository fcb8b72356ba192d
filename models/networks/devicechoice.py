"""The device that a plan asks for."""

from __future__ import annotations

from eraflow.machine.plan import Plan
from models.networks.cpu import Cpu
from models.networks.device import Device
from models.networks.torchlibrary import usable_device


def device_of(plan: Plan) -> Device:
    """The device that a plan asks for, or the CPU where there is no GPU. Accelerate is imported for a GPU only.

    Raises:
        MissingLibraryError: there is a GPU, and Accelerate is not installed.
    """
    if usable_device(plan) == "cpu":
        return Cpu(plan)
    from models.networks.accelerated import Accelerated

    return Accelerated(plan)
