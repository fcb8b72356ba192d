"""Loading a library without what it imports for others: pandas, scikit-learn, Dask and the plotting ones.

LightGBM and XGBoost look for them and do without; CatBoost needs pandas, and loads the others only when asked. In a
process that only predicts from NumPy arrays they are two thirds of what loading LightGBM costs.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

from eraflow.kinds import KINDS

NOT_NEEDED = ("pandas", "sklearn", "dask", "matplotlib", "graphviz", "plotly", "IPython")


def not_needed(kinds: Collection[str]) -> tuple[str, ...]:
    """The packages that models of these kinds predict without; none where a kind is not one of Eraflow's own."""
    if not set(kinds) <= KINDS.keys():
        return ()
    needed = {name for kind in kinds for name in KINDS[kind].predicts_with}
    return tuple(name for name in NOT_NEEDED if name not in needed)


@contextmanager
def lean_imports(names: Collection[str] = NOT_NEEDED) -> Iterator[None]:
    """Within the block the named packages seem not to be installed, unless they are loaded already.

    Only for a process that does nothing but predict: what is imported here stays without them.
    """
    modules: dict[str, Any] = sys.modules
    hidden = [name for name in names if name not in modules]
    modules.update(dict.fromkeys(hidden))
    try:
        yield
    finally:
        for name in hidden:
            if modules.get(name, name) is None:
                del modules[name]
