"""The generated parts of the documents: the table of settings and that of errors. `python -m tests.documents` writes.

A generated part stands between two comments, `<!-- made by make docs: NAME -->` and `<!-- end -->`; what is outside of
them is written by hand.
"""

import ast
import importlib
import inspect
import json
import pkgutil
import re
from collections import defaultdict
from pathlib import Path

from eraflow.disk.atomic import write_text
from eraflow.errors import EraflowError
from eraflow.settings.listing import all_settings
from eraflow.settings.profiles import PROFILES

ROOT = Path(__file__).parent.parent
PRODUCT = ("eraflow", "models", "tasks", "flows")
PART = re.compile(r"(<!-- made by make docs: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
MOST_REMEDIES = 3
"""An error that is raised in many places gives many pieces of advice; its own text holds the right one."""


def settings_tables():
    """Every setting in a table of its group, with what it takes, its defaults and its meaning."""
    groups = defaultdict(list)
    for setting in all_settings().values():
        group, _, _ = setting.name.rpartition(".")
        groups[group].append(setting)
    lines = []
    for group, settings in groups.items():
        lines += [f"## {group or 'The run itself'}", "", "| setting | takes | default | meaning |", "|---|---|---|---|"]
        for one in settings:
            takes = one.takes + ("; may be empty" if one.optional else "")
            lines.append(f"| {' | '.join(map(cell, (f'`{one.name}`', takes, defaults(one), one.text)))} |")
        lines.append("")
    return "\n".join(lines)


def defaults(setting):
    """The default of the profile `laptop`, and of the others where it differs."""
    if setting.name == "profile":
        return "laptop"
    first = value(setting.defaults["laptop"])
    others = [f"{each}: {value(setting.defaults[each])}" for each in PROFILES if value(setting.defaults[each]) != first]
    return "; ".join([first, *others])


def value(found):
    """A default as `--set` takes it."""
    if found is None or found in ("", []):
        return "empty"
    if isinstance(found, list) and all(isinstance(one, dict) for one in found):
        return ",".join(str(one["name"]) for one in found)
    return found if isinstance(found, str) else json.dumps(found)


def errors_table():
    """Every error code with what it means and what its errors advise."""
    meanings, advised = defaultdict(list), remedies()
    for error in error_classes():
        about = " ".join(inspect.getdoc(error).split("\n\n")[0].split())
        meanings[error.code].append((about, advised.get((error.__module__, error.__name__), []), error.exit_code))
    lines = ["| code | what it is | what to do, in its own words |", "|---|---|---|"]
    for code, found in sorted(meanings.items()):
        about = dict.fromkeys(text for text, _, _ in found)
        advice = list(dict.fromkeys(text for _, texts, _ in found for text in texts))[:MOST_REMEDIES]
        exits = {exit_code for _, _, exit_code in found} - {1}
        ends = [f"Exit code {exit_code}." for exit_code in sorted(exits)]
        lines.append(f"| `{code}` | {cell(' '.join([*about, *ends]))} | {cell('; or: '.join(advice))} |")
    return "\n".join(lines) + "\n"


def error_classes():
    """Every class of an error that has a code of its own, in the order of their codes."""
    for package in PRODUCT:
        for module in pkgutil.walk_packages(importlib.import_module(package).__path__, f"{package}."):
            if not module.name.endswith("__main__"):
                importlib.import_module(module.name)
    found, waiting = [], [EraflowError]
    while waiting:
        error = waiting.pop()
        waiting += error.__subclasses__()
        if "code" in vars(error) and error is not EraflowError and error.__module__.split(".")[0] in PRODUCT:
            found.append(error)
    return sorted(found, key=lambda error: (error.code, error.__name__))


def remedies():
    """The pieces of advice with which each class of error is raised, by its module and name; only what is text."""
    found = defaultdict(list)
    for package in PRODUCT:
        for path in sorted((ROOT / package).rglob("*.py")):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            here = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            homes = {
                name.name: one.module for one in ast.walk(tree) if isinstance(one, ast.ImportFrom) for name in one.names
            }
            for node in ast.walk(tree):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and len(node.args) == 2:
                    where, advice = (homes.get(node.func.id, here), node.func.id), text_of(node.args[1])
                    if advice and advice not in found[where]:
                        found[where].append(advice)
    return found


def text_of(node):
    """The text of a literal, with `...` for what is put into it; nothing where it is no literal."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(part.value if isinstance(part, ast.Constant) else "..." for part in node.values)
    return ""


def cell(text):
    """Text as a cell of a table takes it."""
    return text.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")


PARTS = {"settings": settings_tables, "errors": errors_table}
DOCUMENTS = ("docs/settings.md", "docs/trouble.md")


def renewed(text):
    """The text of a document with its generated parts made anew."""
    return PART.sub(lambda part: f"{part[1]}\n{PARTS[part[2]]()}\n{part[3]}", text)


if __name__ == "__main__":
    for name in DOCUMENTS:
        write_text(ROOT / name, renewed((ROOT / name).read_text(encoding="utf-8")))
        print(f"{name} is up to date")
