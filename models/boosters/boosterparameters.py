"""The names and values of a booster's parameters, as far as they can be told without its library."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from models.base.protocol import ModelSettingsError
from models.base.searched import Searched

DECIDED_ELSEWHERE = "it is decided by the run's seed, plan and windows"


class BoosterParameters(Searched):
    """Parameters under the library's own names or common ones.

    Attributes:
        kind: as in eraflow/kinds.py.
        defaults: in the library's own names.
        rate_name: what the library calls its learning rate.
        other_names: common and other names -> the library's own.
        reserved: own names of what the run decides.
        params: the settings in the library's own names, defaults included.
    """

    kind: ClassVar[str]
    defaults: ClassVar[Mapping[str, Any]]
    rate_name: ClassVar[str]
    other_names: ClassVar[Mapping[str, str]]
    reserved: ClassVar[frozenset[str]]
    params: dict[str, Any]

    def _own_names(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """`params` in the library's own names; two names of one setting and names decided elsewhere are refused."""
        own: dict[str, Any] = {}
        for name, value in params.items():
            key = self._own_name(name)
            if key in self.reserved:
                raise ModelSettingsError(f"{self.kind}: {name} cannot be set", f"leave it out: {DECIDED_ELSEWHERE}")
            if key in own:
                raise ModelSettingsError(f"{self.kind}: {name} sets {key} a second time", "keep one of the two names")
            own[key] = value
        return own

    def _own_name(self, name: str) -> str:
        return self.other_names.get(name, name)

    def _check_numbers(self) -> None:
        trees, rate = self.params[self.length_name], self.params[self.rate_name]
        if isinstance(trees, bool) or not isinstance(trees, int) or trees < 1:
            raise ModelSettingsError(f"{self.kind}: {self.length_name} is {trees!r}", "use a whole number from 1")
        if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 < rate <= 1:
            raise ModelSettingsError(f"{self.kind}: {self.rate_name} is {rate!r}", "use a number above 0, up to 1")
