"""The settings of a run: one pydantic model, which is also the form in the Prefect UI."""

from eraflow.settings.clean import CleanSettings
from eraflow.settings.gate import GateSettings
from eraflow.settings.profiles import PROFILES, ProfileName, profile_values
from eraflow.settings.run import (
    AlertSettings,
    BlendSettings,
    DataSettings,
    MachineSettings,
    ModelSettings,
    RoundSettings,
    RunSettings,
    SandboxSettings,
    SourceSettings,
    SubmitSettings,
    TrackingSettings,
    WindowSettings,
)
from eraflow.settings.search import SearchSettings
from eraflow.settings.selection import SelectionSettings

__all__ = [
    "PROFILES",
    "AlertSettings",
    "BlendSettings",
    "CleanSettings",
    "DataSettings",
    "GateSettings",
    "MachineSettings",
    "ModelSettings",
    "ProfileName",
    "RoundSettings",
    "RunSettings",
    "SandboxSettings",
    "SearchSettings",
    "SelectionSettings",
    "SourceSettings",
    "SubmitSettings",
    "TrackingSettings",
    "WindowSettings",
    "profile_values",
]
