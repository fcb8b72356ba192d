"""From the function of a stage to every definition that it can reach, module by module."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Set
from importlib.util import resolve_name
from pathlib import Path

from eraflow.runs.sourceunits import CONSTRUCTORS, SUBCLASSED, Imported, Reference, Source, Unit, read_source

CHOSEN_BY_NAME = frozenset({"eraflow.kinds", "eraflow.ownkinds", "models.own.ownclass", "models.own.ownmodel"})
"""What a kind of model stands for is told by the stage, which names these where it needs them. Otherwise a row more in
the table of kinds, or the way in which a user's own is loaded, would count for everybody."""
REACH_EVERYTHING = frozenset({"globals", "eval", "exec"})

Target = tuple[str, str | None]
"""A module and a name in it. None: everything in it; empty: what its import does."""


class CodeWalk:
    """What is reached.

    Args:
        packages: the top-level packages that are followed.
        root_of: where one lies; None when it is nowhere.
    """

    def __init__(self, packages: Set[str], root_of: Callable[[str], Path | None]) -> None:
        self.packages, self.root_of = packages, root_of
        self.paths: dict[str, Path | None] = {}
        self.sources: dict[str, Source | None] = {}
        self.meanings: dict[tuple[str, Imported], list[Target]] = {}
        self.loaded: dict[str, Source] = {}
        self.acting: set[tuple[str, int]] = set()
        self.counted: dict[tuple[str, int], list[str]] = {}
        self.seen: set[Target] = set()
        self.waiting: list[Target] = []
        self.apart: Set[str] = CHOSEN_BY_NAME

    def follow(self, targets: Iterable[Target]) -> None:
        """Count these and everything that they need."""
        self.waiting.extend(targets)
        self.apart = CHOSEN_BY_NAME - {module for module, _ in self.waiting}
        while self.waiting:
            target = self.waiting.pop()
            if target in self.seen:
                continue
            self.seen.add(target)
            source = self._load(target[0])
            if source is not None:
                self._take(*target, source)

    def lines(self) -> Iterator[str]:
        """What was counted, as text: what acts in its order, definitions wherever they stand in their module."""
        for module, source in sorted(self.loaded.items()):
            yield f"{module} {sorted({one.module for one in source.imports if self._is_third_party(one)})}"
            counted = [place for place in range(len(source.units)) if (module, place) in self.counted]
            texts = {place: f"{source.units[place].digest} {self.counted[module, place]}" for place in counted}
            yield from (text for place, text in texts.items() if (module, place) in self.acting)
            yield from sorted(text for place, text in texts.items() if (module, place) not in self.acting)

    def _load(self, module: str) -> Source | None:
        """A module that is imported: its packages, its imports and what acts in it count."""
        source = self.loaded.get(module) or self._source(module)
        if source is not None and module not in self.loaded:
            self.loaded[module] = source
            self.waiting.append((module.rpartition(".")[0], ""))
            self.waiting += [(each, "") for one in source.imports for each, _ in self._meant(module, one)]
            for place, unit in enumerate(source.units):
                if self._acts(module, unit):
                    self.acting.add((module, place))
                    self._count(module, place, unit)
        return source

    def _take(self, module: str, name: str | None, source: Source) -> None:
        if name == "":
            return
        units = [(place, unit) for place, unit in enumerate(source.units) if name is None or name in unit.binds]
        imports = [one for one in source.visible if name is None or name == one.bound]
        for place, unit in units:
            self._count(module, place, unit)
        self.waiting += [target for one in imports for target in self._meant(module, one)]
        if name is not None and self._path(f"{module}.{name}") is not None:
            self.waiting.append((f"{module}.{name}", None))
        elif not units and not imports and not str(name).startswith("__"):
            self.waiting.append((module, None))  # it comes by a way that the source does not show

    def _count(self, module: str, place: int, unit: Unit) -> None:
        if (module, place) in self.counted:
            return
        means = {read: list(self._means(module, unit, read)) for read in unit.reads}
        self.counted[module, place] = sorted(
            f"{read} {sorted(map(str, found))}" for read, found in means.items() if found
        )
        self.waiting += [target for found in means.values() for target in found if target[0] in self.paths]
        self.waiting += [(each, "") for one in unit.imports for each, _ in self._meant(module, one)]

    def _means(self, module: str, unit: Unit, read: Reference) -> Iterator[Target]:
        """What a name and an attribute of it may mean; of a name that is only local, nothing."""
        name, attribute = read
        source = self._source(module)
        if source is None:
            return
        for one in (*unit.imports, *source.visible):
            if one.bound != name:
                continue
            found = self._meant(module, one)
            for place, part in found:
                whole = part is None and not (one.name is None and "." in one.module)
                yield (place, attribute) if whole and attribute else (place, part)
            if not found:
                yield f"outside {one.module}", one.name
        if name in source.names:
            yield module, name
        if name in REACH_EVERYTHING:
            yield module, None

    def _meant(self, module: str, one: Imported) -> list[Target]:
        """What an import gives; nothing for a package that is not followed."""
        if (module, one) not in self.meanings:
            self.meanings[module, one] = self._looked_up(module, one)
        return self.meanings[module, one]

    def _looked_up(self, module: str, one: Imported) -> list[Target]:
        path = self._path(module)
        package = module if path is not None and path.name == "__init__.py" else module.rpartition(".")[0]
        base = resolve_name(one.module, package) if one.module.startswith(".") else one.module
        source, inner = self._source(base), f"{base}.{one.name}"
        if one.name is not None and self._source(inner) is not None and one.name not in getattr(source, "names", ()):
            return [(inner, None)]
        if source is None:
            return []
        return [(base, None if one.name in (None, "*") else one.name)]

    def _acts(self, module: str, unit: Unit) -> bool:
        """Whether importing the module may do more than bind names because of this unit."""
        return (
            unit.acts
            or not all(self._only_constructs(module, unit, called) for called in unit.calls)
            or any(self._hooked(module, unit, base, SUBCLASSED) for base in unit.bases or ())
        )

    def _only_constructs(self, module: str, unit: Unit, called: str) -> bool:
        """Whether a call makes an instance of a class of the project that has no constructor of its own."""
        return bool(self._places(module, unit, called)) and not self._hooked(module, unit, called, CONSTRUCTORS)

    def _hooked(self, module: str, unit: Unit, dotted: str, hooks: Set[str]) -> bool:
        """Whether a class of the project, or a base of it, has one of these methods; True where that is not certain."""
        for place, name in self._places(module, unit, dotted):
            source = self._source(place)
            for each in () if source is None else (unit for unit in source.units if name in unit.binds):
                if each.bases is None or each.hooks & hooks:
                    return True
                if any(self._hooked(place, each, base, hooks) for base in each.bases):
                    return True
        return False

    def _places(self, module: str, unit: Unit, dotted: str) -> list[Target]:
        name, _, attribute = dotted.partition(".")
        return [target for target in self._means(module, unit, (name, attribute or None)) if target[0] in self.paths]

    def _source(self, module: str) -> Source | None:
        if module not in self.sources:
            path = self._path(module)
            self.sources[module] = None if path is None or module in self.apart else read_source(path)
        return self.sources[module]

    def _path(self, module: str) -> Path | None:
        """The file of a module of the packages that are followed."""
        if module.partition(".")[0] not in self.packages:
            return None
        if module not in self.paths:
            self.paths[module] = self._find(module)
        return self.paths[module]

    def _find(self, module: str) -> Path | None:
        first, *rest = module.split(".")
        root = self.root_of(first)
        if root is None or root.suffix == ".py":
            return None if rest else root
        place = root.joinpath(*rest)
        return next(
            (path for path in (place / "__init__.py", place.with_name(f"{place.name}.py")) if path.is_file()), None
        )

    def _is_third_party(self, one: Imported) -> bool:
        root = one.module.partition(".")[0]
        return bool(root) and root not in sys.stdlib_module_names and root not in self.packages
