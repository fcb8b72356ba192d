"""The settings of a weekly or daily run."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, JsonValue, field_validator, model_validator

from eraflow.home import home_folder
from eraflow.settings.clean import CleanSettings
from eraflow.settings.features import with_files_read
from eraflow.settings.gate import GateSettings
from eraflow.settings.profiles import ProfileName, profile_values
from eraflow.settings.search import SearchSettings
from eraflow.settings.section import Section
from eraflow.settings.selection import SelectionSettings

ModelKind = Literal["lightgbm", "xgboost", "catboost", "mlp"]
# Above these the system's clocks and counters overflow, some of them in native code.
DAY_SECONDS, YEAR_MINUTES, PETABYTE_MB = 86_400, 525_600, 2**30


class SourceSettings(Section):
    """Where the tournament is: Numerai itself, or a sandbox that speaks the same protocol."""

    kind: Literal["numerai", "sandbox"] = Field("numerai", description="Numerai, or the embedded sandbox.")
    data_dir: str | None = Field(
        None, description="A folder in tournament layout for the sandbox to serve. Empty: it generates data."
    )
    url: str | None = Field(
        None, description="Address of a sandbox that already runs (eraflow sandbox serve). Empty: one is started."
    )
    keys_block: str = Field(
        "numerai-keys",
        description="Prefect Secret block with PUBLIC_ID and SECRET_KEY, used when NUMERAI_PUBLIC_ID and "
        "NUMERAI_SECRET_KEY are not in the environment.",
    )
    call_seconds: float = Field(30, gt=0, le=DAY_SECONDS, description="Deadline of one API call.")
    transfer_seconds: float = Field(3600, gt=0, le=7 * DAY_SECONDS, description="Deadline of one download or upload.")
    attempts: int = Field(5, ge=1, le=20, description="Attempts of a call that fails for a passing reason.")

    @model_validator(mode="after")
    def _own_data_never_goes_to_numerai(self) -> SourceSettings:
        if self.kind == "numerai" and (self.data_dir or self.url):
            raise ValueError("data_dir and url belong to a sandbox: set source.kind=sandbox, or leave them out")
        return self


class SandboxSettings(Section):
    """Size and truth of the data that the embedded sandbox generates."""

    train_eras: int = Field(280, ge=20, le=5000, description="Eras in train.parquet.")
    validation_eras: int = Field(120, ge=10, le=5000, description="Eras in validation.parquet.")
    rows_per_era: int = Field(400, ge=20, le=10000, description="Rows of an era.")
    features: int = Field(60, ge=12, le=5000, description="Feature columns.")
    signal: float = Field(1.0, ge=0, le=10, description="Strength of the planted signal; 0 plants none.")
    seed: int = Field(1, ge=0, description="Seed of the generated data.")


class DataSettings(Section):
    """Which data a run learns from, and what it predicts."""

    version: str = Field("v5.3", description="Data set version, as in Numerai's list of files.")
    target: str = Field("target_ender_60", description="The target that is trained on and scored.")
    alias_horizon: Literal[20, 60] | None = Field(
        None, description="Only when target is the alias target: the horizon in days that it stands for now."
    )
    features: str | list[str] = Field(
        "medium",
        min_length=1,
        description="What to learn from: a set of features.json (medium), names (feature_a,feature_b), a file "
        "(./mine.txt, ./mine.json), or these added and taken away (medium+rain-feature_a, all-./drop.txt). A file is "
        "read when the settings are; the run keeps its names.",
    )
    benchmark: str | None = Field(
        None, description="Benchmark model for BMC. Empty: the one trained on this target, else the first."
    )
    era_stride: int = Field(1, ge=1, le=16, description="Use every n-th era for training (1 = all).")
    first_era: int | None = Field(None, ge=1, description="Leave out the eras before this one.")

    @model_validator(mode="before")
    @classmethod
    def _takes_the_old_name(cls, values: Any) -> Any:
        """`feature_set`, as runs and deployments of earlier versions say, is `features`; whoever says it means it."""
        if isinstance(values, dict) and "feature_set" in values:
            return {**{k: v for k, v in values.items() if k != "feature_set"}, "features": values["feature_set"]}
        return values

    @field_validator("features", mode="before")
    @classmethod
    def _files_are_read(cls, value: Any) -> Any:
        return with_files_read(value)


class WindowSettings(Section):
    """The walk-forward windows on which every model is judged."""

    kind: Literal["expanding", "sliding"] = Field("expanding", description="Grow the training eras, or slide them.")
    folds: int = Field(5, ge=1, le=50, description="How many windows.")
    first_test_fraction: float = Field(
        0.4, gt=0.05, lt=0.95, description="The first judged era lies at this fraction of the resolved eras."
    )
    train_eras: int | None = Field(None, ge=10, description="Training eras of a sliding window.")
    purge_weeks: int | None = Field(
        None, ge=1, description="Weeks left out between training and judging. Empty: 8 (20 days) or 16 (60 days)."
    )


class ModelSettings(Section):
    """One member of the ensemble."""

    kind: ModelKind = Field("lightgbm", description="The learner. mlp needs the extra eraflow[networks].")
    name: str = Field(
        "",
        description="Name in tables and files. Empty: the kind, and what else tells members of one kind apart: "
        "lightgbm-ender60, lightgbm-residual.",
    )
    params: dict[str, JsonValue] = Field(default_factory=dict, description="Overrides of the learner's own settings.")
    target: str | None = Field(
        None,
        min_length=1,
        description="What this member learns: any target of the data, of 20 or 60 days. Empty: the run's target. "
        "Judged is always the run's target.",
    )
    learn: Literal["target", "residual"] = Field(
        "target",
        description="Learn the target, or what of it the benchmark model leaves over (trains only on eras that the "
        "benchmark covers).",
    )
    tuned: bool = Field(
        False, description="Start from the parameters that `eraflow search` kept for this learner; `params` still win."
    )

    optional: bool = Field(
        False,
        description="Leave this member out, with a warning, where its library is not installed; otherwise that is an "
        "error before any work. Members of a profile that need an extra are optional until they are named.",
    )

    @model_validator(mode="before")
    @classmethod
    def _name_after_kind(cls, values: Any) -> Any:
        if isinstance(values, dict) and not values.get("name"):
            values = {**values, "name": default_name(values)}
        return values

    @model_validator(mode="after")
    def _only_boosters_are_searched(self) -> ModelSettings:
        if self.tuned and self.kind == "mlp":
            raise ValueError("there is no search for mlp: leave tuned out, and set its params")
        return self

    @field_validator("name")
    @classmethod
    def _is_a_file_name(cls, value: str) -> str:
        if not value.replace("-", "").replace("_", "").isalnum() or not value.islower():
            raise ValueError(f"a model name holds lower-case letters, digits, - and _; found {value!r}")
        if value == "blend":
            raise ValueError("the name blend is taken by the blend of the models")
        return value


def default_name(model: Mapping[str, Any]) -> str:
    """The name of a member that has none: its kind, its own target in Numerai's short form, and what it learns of it.

    `lightgbm`, `lightgbm-ender60` for target_ender_60, `lightgbm-ender60-residual`; always a safe file name.
    """
    parts = [str(model.get("kind", "lightgbm"))]
    if model.get("target"):
        short = str(model["target"]).lower().removeprefix("target_").replace("_", "")
        parts.append(re.sub(r"[^a-z0-9]+", "-", short).strip("-") or "target")
    if model.get("learn") == "residual":
        parts.append("residual")
    return "-".join(parts)


class BlendSettings(Section):
    """How the members become one prediction."""

    method: Literal["rank-gaussian"] = Field(
        "rank-gaussian", description="Rank and gaussianise each member per era, then average with equal weights."
    )
    neutralise: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Share of the blend's linear exposure to features that is taken out of it, per era.",
    )
    neutralise_features: str = Field(
        "", description="Neutralise to this set of features.json. Empty: to all features of the run."
    )
    try_neutralise: bool = Field(
        True,
        description="Show in the backtest what neutralising 0, 25, 50, 75 and 100 % would be worth, out of fold. Left "
        "out by itself where it would take too long.",
    )


class MachineSettings(Section):
    """How much of this computer a run may use."""

    memory_mb: int | None = Field(
        12_000,
        ge=300,
        le=PETABYTE_MB,
        description="Memory of all stages of this home together, their process trees included. Never more than what "
        "is free. MiB.",
    )
    vram_mb: int | None = Field(
        None,
        ge=500,
        le=PETABYTE_MB,
        description="GPU memory of a stage. Empty: what the GPU has free when it starts. MiB.",
    )
    disk_floor_mb: int | None = Field(
        None,
        ge=0,
        le=PETABYTE_MB,
        description="A stage ends when its disk has less than this free; 0 switches it off. "
        "Empty: 512, on a small disk a twentieth of it. MiB.",
    )
    wait_minutes: float = Field(
        60, ge=0, le=YEAR_MINUTES, description="How long a stage waits for memory that other stages hold."
    )
    threads: int | None = Field(
        None, ge=1, le=4096, description="Threads of a stage. Empty: all cores this process may use."
    )
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="Where models are trained.")
    cache_mb: int = Field(
        20_000,
        ge=0,
        le=PETABYTE_MB,
        description="Disk space for binned training data that is kept between fits and runs; never more than a quarter "
        "of what is free. 0: nothing is kept. MiB.",
    )
    stage_minutes: float = Field(600, gt=0, le=YEAR_MINUTES, description="A stage that runs longer is ended and named.")
    attempts: int = Field(12, ge=1, le=20, description="Attempts of a stage, each with another plan.")


class RoundSettings(Section):
    """Waiting for the round to open. Opening times drift, so it is polled."""

    wait_minutes: float = Field(
        360, ge=0, le=YEAR_MINUTES, description="Give up when no round is open after this time."
    )
    poll_seconds: float = Field(60, gt=0, le=DAY_SECONDS, description="Time between two looks.")


class SubmitSettings(Section):
    """What is sent, and for which model."""

    model: str | None = Field(
        None, title="Model slot", description="Numerai model slot. Empty: the only one of the account."
    )
    dry_run: bool = Field(False, description="Stop before anything is sent.")
    replace: bool = Field(
        False,
        description="Send although another submission is filed for this slot and round already; the newest counts "
        "until the round closes. Otherwise what is filed is kept.",
    )
    confirm_minutes: float = Field(
        10, gt=0, le=YEAR_MINUTES, description="How long to wait for Numerai to accept the upload."
    )


class AlertSettings(Section):
    """Who hears of trouble."""

    block: str | None = Field(
        None, description="Prefect notification block, as type/name: for example custom-webhook/alert."
    )
    on_success: bool = Field(False, description="Also tell of a run that ended well: round, scores, what was sent.")
    ping_url: str | None = Field(
        None,
        description="A dead man's switch, called with GET after each submission, so that a silent computer is noticed: "
        "secret/NAME, a Secret block that holds the address. Empty: the address in $ERAFLOW_PING_URL, if it is set.",
    )

    @field_validator("ping_url")
    @classmethod
    def _names_a_secret_block(cls, value: str | None) -> str | None:
        if value is not None and not value.removeprefix("secret/"):
            raise ValueError("name a Secret block, as secret/NAME")
        if value is not None and not value.startswith("secret/"):
            raise ValueError(
                "the address is a secret and settings are shown: save it as a Secret block and name that "
                "(secret/NAME), or set ERAFLOW_PING_URL"
            )
        return value


class TrackingSettings(Section):
    """MLflow."""

    enabled: bool = Field(True, description="Record runs and register the shipped ensemble in MLflow.")
    uri: str | None = Field(None, description="Tracking server. Empty: an SQLite file in the home folder.")
    experiment: str = Field("eraflow", description="MLflow experiment.")
    registered_model: str = Field("eraflow-ensemble", description="Name in the model registry.")

    @field_validator("uri")
    @classmethod
    def _holds_no_password(cls, value: str | None) -> str | None:
        if value is not None and urlsplit(value).password:
            raise ValueError(
                "the address holds a password, which would be written into logs: leave it out and set "
                "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
            )
        return value


def _default_models() -> list[ModelSettings]:
    return [ModelSettings(kind=kind) for kind in ("lightgbm", "xgboost", "catboost")]


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
        default_factory=_default_models,
        min_length=1,
        description="Members of the ensemble. Empty: those of the profile.",
    )
    selection: SelectionSettings = SelectionSettings()
    search: SearchSettings = SearchSettings()
    blend: BlendSettings = BlendSettings()
    gate: GateSettings = GateSettings()
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
        return name == "models" or (field is not None and isinstance(field.default, Section))

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
        for where, chosen in (("selection.models", self.selection.models), ("search.models", self.search.models)):
            unknown = [name for name in chosen if name not in names]
            if unknown:
                raise ValueError(f"{where} names {unknown[0]!r}; the models are {', '.join(names)}")
        return self

    @model_validator(mode="after")
    def _a_champion_needs_a_registry(self) -> RunSettings:
        if self.gate.on_block == "champion" and not self.tracking.enabled:
            raise ValueError("gate.on_block=champion needs tracking.enabled=true: the champion lives in MLflow")
        return self

    @property
    def auxiliary_targets(self) -> tuple[str, ...]:
        """Targets that some member learns and that are not the run's own, each once, in the order of the members."""
        wanted = (model.target for model in self.models)
        return tuple(dict.fromkeys(target for target in wanted if target not in (None, self.data.target)))

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
