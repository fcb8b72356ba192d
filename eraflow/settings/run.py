"""The settings of a weekly or daily run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field, field_validator, model_validator

from eraflow.disk.home import home_folder
from eraflow.settings.alert import AlertSettings
from eraflow.settings.bag import RUN
from eraflow.settings.blend import BlendSettings
from eraflow.settings.clean import CleanSettings
from eraflow.settings.contest import ContestSettings
from eraflow.settings.data import DataSettings
from eraflow.settings.drift import DriftSettings
from eraflow.settings.ensembles import FORMER, MAIN, EnsembleSettings
from eraflow.settings.gate import GateSettings
from eraflow.settings.machine import MachineSettings
from eraflow.settings.models import ModelSettings, default_models
from eraflow.settings.payout import PayoutSettings
from eraflow.settings.profiles import ProfileName, profile_values
from eraflow.settings.search import SearchSettings
from eraflow.settings.section import Section
from eraflow.settings.selection import SelectionSettings
from eraflow.settings.source import SandboxSettings, SourceSettings
from eraflow.settings.submit import RoundSettings, SubmitSettings
from eraflow.settings.tracking import TrackingSettings
from eraflow.settings.windows import WindowSettings


class RunSettings(Section):
    """Everything a weekly run can be told.

    The defaults are the `laptop` profile. `profile` fills in whatever is not given; what is given wins.
    """

    profile: ProfileName = Field("laptop", description="Fills in every field that is left empty.")
    home: str = Field(
        "",
        description="Folder for data, runs, MLflow and Prefect. Empty: this user's (ERAFLOW_HOME, the .eraflow of a "
        "checkout one stands in, or the folder for data of programs, ~/.local/share/eraflow).",
    )
    run_dir: str | None = Field(None, description="Folder of this run. Empty: a new one under home/runs.")
    seed: int = Field(7, ge=0, lt=2**31, description="Everything random starts here.")
    source: SourceSettings = SourceSettings()
    sandbox: SandboxSettings = SandboxSettings()
    data: DataSettings = DataSettings()
    windows: WindowSettings = WindowSettings()
    models: list[ModelSettings] = Field(
        default_factory=default_models,
        min_length=1,
        description="Members of the ensemble. Empty: those of the profile.",
    )
    selection: SelectionSettings = SelectionSettings()
    search: SearchSettings = SearchSettings()
    blend: BlendSettings = BlendSettings()
    ensembles: list[EnsembleSettings] = Field(
        default_factory=list,
        max_length=50,
        description="Further ensembles of the same members, as a JSON list: of each its name, and where wanted its "
        "models, the slot that it is sent to, challenges=true, and how it is blended (method, half_life, equal_share, "
        "neutralise, neutralise_features) where that is not as in blend.",
    )
    contest: ContestSettings = ContestSettings()
    payout: PayoutSettings = PayoutSettings()
    gate: GateSettings = GateSettings()
    drift: DriftSettings = DriftSettings()
    machine: MachineSettings = MachineSettings()
    round: RoundSettings = RoundSettings()
    submit: SubmitSettings = SubmitSettings()
    alert: AlertSettings = AlertSettings()
    tracking: TrackingSettings = TrackingSettings()
    clean: CleanSettings = CleanSettings()

    @model_validator(mode="before")
    @classmethod
    def _fill_from_profile(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        given = {name: value for name, value in values.items() if value is not None or not cls._is_group(name)}
        profile = given.get("profile", "laptop")
        return merge(profile_values(profile), given) if isinstance(profile, str) else given

    @classmethod
    def _is_group(cls, name: str) -> bool:
        """Whether the field is a group of settings, for which null means that nothing of it is given."""
        field = cls.model_fields.get(name)
        return name in ("models", "ensembles") or (field is not None and isinstance(field.default, Section))

    @field_validator("models")
    @classmethod
    def _names_differ(cls, models: list[ModelSettings]) -> list[ModelSettings]:
        names = [model.name for model in models]
        if len(set(names)) != len(names):
            raise ValueError(f"model names must differ; found {names}: give each a name or a target of its own")
        return models

    @model_validator(mode="after")
    def _named_models_are_there(self) -> RunSettings:
        names = [model.name for model in self.models]
        for where, chosen in (
            ("selection.models", self.selection.models),
            ("search.models", self.search.models),
            ("blend.models", self.blend.models),
            *((f"the ensemble {each.name}", each.models) for each in self.ensembles),
        ):
            unknown = [name for name in chosen if name not in names]
            if unknown:
                raise ValueError(f"{where} names {unknown[0]!r}; the models are {', '.join(names)}")
        return self

    @field_validator("ensembles")
    @classmethod
    def _ensembles_differ(cls, ensembles: list[EnsembleSettings]) -> list[EnsembleSettings]:
        for what, found in (
            ("ensemble names", [each.name for each in ensembles]),
            ("slots", [each.slot for each in ensembles if each.slot is not None]),
        ):
            if len(set(found)) != len(found):
                raise ValueError(f"{what} must differ; found {', '.join(found)}")
        if taken := [each.name for each in ensembles if each.name in (MAIN, FORMER)]:
            raise ValueError(f"{taken[0]} is what the week calls an ensemble of its own; give this one another name")
        if sum(each.challenges for each in ensembles) > 1:
            raise ValueError("one ensemble at a time challenges the champion: the error rate is that of one contest")
        return ensembles

    @model_validator(mode="after")
    def _ensembles_have_slots_of_their_own(self) -> RunSettings:
        for each in self.ensembles:
            if each.slot is not None and self.submit.model is None:
                raise ValueError(
                    f"ensembles: {each.name} has a slot of its own, so submit.model must name the main one"
                )
            if each.slot is not None and each.slot == self.submit.model:
                raise ValueError(f"ensembles: {each.name} cannot have the slot {each.slot}: submit.model names it")
        return self

    @model_validator(mode="after")
    def _a_selection_needs_features(self) -> RunSettings:
        if self.data.code != "none" and self.data.code_use == "instead" and self.selection.method != "none":
            raise ValueError(
                f"data.code_use=instead leaves no features for selection.method={self.selection.method} to select: "
                "set data.code_use=beside or selection.method=none"
            )
        return self

    @model_validator(mode="after")
    def _bags_need_features(self) -> RunSettings:
        if self.data.code == "none" or self.data.code_use == "beside":
            return self
        for model in self.models:
            if [name for name in model.bag.feature_sets if name != RUN]:
                raise ValueError(
                    f"data.code_use=instead leaves no features, and the bag {model.name} names sets of them: leave "
                    "bag.feature_sets out or set data.code_use=beside"
                )
        return self

    @model_validator(mode="after")
    def _a_champion_needs_a_registry(self) -> RunSettings:
        if self.gate.on_block == "champion" and not self.tracking.enabled:
            raise ValueError("gate.on_block=champion needs tracking.enabled=true: the champion lives in MLflow")
        return self

    @model_validator(mode="after")
    def _an_insurance_has_a_time(self) -> RunSettings:
        if self.round.only_insure and self.round.insurance_minutes is None:
            raise ValueError("round.only_insure=true needs round.insurance_minutes: when is the champion to be sent?")
        return self

    @property
    def auxiliary_targets(self) -> tuple[str, ...]:
        """Targets that some member learns and that are not the run's own, each once, in the order of the members."""
        wanted = (target for model in self.models for target in (model.target, *model.also_learn))
        return tuple(dict.fromkeys(target for target in wanted if target not in (None, self.data.target)))

    @property
    def blended_models(self) -> tuple[str, ...]:
        """Names of the members that the week's own ensemble is made of, in the order of `models`."""
        wanted = self.blend.models
        return tuple(model.name for model in self.models if not wanted or model.name in wanted)

    @property
    def learns_residual(self) -> bool:
        """Whether some member learns what the benchmark leaves over, so that there has to be a benchmark."""
        return any(model.learn == "residual" for model in self.models)

    @property
    def home_path(self) -> Path:
        """The home folder, absolute."""
        return home_folder(self.home)

    def at_home(self) -> RunSettings:
        """The same settings with the home folder written out, so that they mean the same wherever they are read."""
        return self.model_copy(update={"home": str(self.home_path)})


def merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """`base` with the values of `over` laid on it; nested dictionaries are merged, everything else is replaced."""
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        if isinstance(value, Section):
            value = value.model_dump(exclude_unset=True)
        merged[key] = merge(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return merged
