"""Further ensembles of the same trained members: each is blended, judged and sent to a slot of its own."""

from __future__ import annotations

from pydantic import Field

from eraflow.settings.blend import BlendMethod, BlendSettings
from eraflow.settings.section import Section

MAIN = "main"
"""How the week's own ensemble is called beside the further ones."""
FORMER = "former"
"""How the recipe is called that a promoted challenger has taken the place of."""
FOLDER_NAME = r"^[a-z0-9][a-z0-9_-]{0,39}$"
OVERRIDES = ("method", "half_life", "equal_share", "neutralise", "neutralise_features")
"""Settings of an ensemble that are laid on those of `blend` where they are given."""


class EnsembleSettings(Section):
    """An ensemble beside the week's own: of some of its members, blended in its own way, for a slot of its own."""

    name: str = Field(
        pattern=FOLDER_NAME,
        description="How the ensemble and its folder are called: lower-case letters, digits, dashes, underscores.",
    )
    models: list[str] = Field(default_factory=list, description="As blend.models. Empty: the same.")
    slot: str | None = Field(None, description="Numerai model slot that it is sent to. Empty: it is not sent.")
    challenges: bool = Field(
        False,
        description="Predict with it each round beside the champion of the main slot, and let it take that place "
        "when it has shown to be better.",
    )
    method: BlendMethod | None = Field(None, description="As blend.method. Empty: the same.")
    half_life: float | None = Field(None, gt=0, le=10_000, description="As blend.half_life. Empty: the same.")
    equal_share: float | None = Field(None, ge=0, le=1, description="As blend.equal_share. Empty: the same.")
    neutralise: float | None = Field(None, ge=0, le=1, description="As blend.neutralise. Empty: the same.")
    neutralise_features: str | None = Field(None, description="As blend.neutralise_features. Empty: the same.")

    def blend(self, common: BlendSettings) -> BlendSettings:
        """How its members are blended: as the week's own, but for what is given here."""
        given = {name: value for name in OVERRIDES if (value := getattr(self, name)) is not None}
        return BlendSettings(**{**common.model_dump(), **given, **({"models": self.models} if self.models else {})})
