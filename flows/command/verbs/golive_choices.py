"""What a person decides when the schedules are switched on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Choices:
    """What a person decides, once for both deployments.

    Attributes:
        profile: of the settings.
        model: the slot; None: the only one of the account.
        keys_block: Secret block with the keys.
        only_block: whether the keys must be in that block, whatever the environment of this shell holds.
        alert: notification block; None: nobody is told.
        on_success: whether good runs are told of.
        ping: Secret block of the dead man's switch.
    """

    profile: str
    model: str | None
    keys_block: str
    only_block: bool
    alert: str | None
    on_success: bool
    ping: str | None

    def as_settings(self, home: str | None) -> dict[str, Any]:
        """As they are laid on the settings of a deployment."""
        told = {"block": self.alert, "on_success": self.on_success, "ping_url": self.ping}
        return {
            "profile": self.profile,
            "submit": {"model": self.model},
            "source": {"keys_block": self.keys_block},
            "alert": told,
            **({"home": home} if home else {}),
        }

    def to_remember(self, profile: str | None) -> dict[str, Any]:
        """The choices that a later call starts from; a profile only where it was named, else it is the deployments'."""
        kept = {name: value for name, value in self.as_settings(None).items() if name != "profile"}
        return {**kept, **({"profile": profile} if profile else {})}
