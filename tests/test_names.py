"""One name, one thing: a public class and the code of an error each stand for one."""

import ast
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parent.parent
LAYERS = ("eraflow", "models", "tasks", "flows")


def classes():
    """Every class at the top of a module of the product, with its file."""
    for layer in LAYERS:
        for path in sorted((ROOT / layer).rglob("*.py")):
            for node in ast.parse(path.read_text(encoding="utf-8")).body:
                if isinstance(node, ast.ClassDef):
                    yield node, path.relative_to(ROOT).as_posix()


def code_of(node):
    """The code that a class gives its errors; None where it gives none of its own."""
    for line in node.body:
        if isinstance(line, ast.Assign) and [ast.unparse(target) for target in line.targets] == ["code"]:
            return ast.literal_eval(line.value)
    return None


def twice(pairs):
    places = defaultdict(list)
    for name, place in pairs:
        places[name].append(place)
    return {name: found for name, found in places.items() if len(found) > 1}


def test_no_two_public_classes_have_one_name():
    assert twice((node.name, path) for node, path in classes() if not node.name.startswith("_")) == {}


def test_no_two_errors_have_one_code():
    assert twice((code, f"{path}: {node.name}") for node, path in classes() if (code := code_of(node))) == {}


def test_what_is_there_twice_is_found():
    assert twice([("Check", "a.py"), ("Part", "a.py"), ("Check", "b.py")]) == {"Check": ["a.py", "b.py"]}
    assert code_of(ast.parse("class A:\n    code = 'a'").body[0]) == "a"
