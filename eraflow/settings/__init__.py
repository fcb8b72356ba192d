"""The settings of a run: one pydantic model, which is also the form in the Prefect UI."""

from eraflow.settings.alert import AlertSettings
from eraflow.settings.blend import BlendSettings
from eraflow.settings.clean import CleanSettings
from eraflow.settings.data import DataSettings
from eraflow.settings.gate import GateSettings
from eraflow.settings.machine import MachineSettings
from eraflow.settings.models import ModelSettings
from eraflow.settings.profiles import PROFILES, ProfileName, profile_values
from eraflow.settings.run import RunSettings
from eraflow.settings.search import SearchSettings
from eraflow.settings.selection import SelectionSettings
from eraflow.settings.source import SandboxSettings, SourceSettings
from eraflow.settings.submit import RoundSettings, SubmitSettings
from eraflow.settings.tracking import TrackingSettings
from eraflow.settings.windows import WindowSettings

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
