"""The documents say what is true of the code: names, settings, commands, links, and the parts that are generated."""

import re
import shlex
import tomllib
from functools import cache

import pytest

from eraflow.settings.listing import all_settings
from flows.command.cli import parser
from tests.documents import DOCUMENTS, PART, ROOT, error_classes, renewed
from tests.test_layers import RANK

WRITTEN = sorted(
    path.relative_to(ROOT).as_posix()
    for pattern in ("*.md", "docs/*.md", "deployments/*.md")
    for path in ROOT.glob(pattern)
)
LAYERS = "eraflow|models|tasks|flows|deployments|tests|benchmarks|docs"
COMMAND = re.compile(r"eraflow .*")


def text(name):
    return (ROOT / name).read_text(encoding="utf-8")


def by_hand(name):
    """A document without its generated parts: those are compared as a whole."""
    return PART.sub("", text(name))


def fenced(name, languages=("", "bash")):
    """The lines of the code blocks of a document in these languages; those of the shell where none is named."""
    blocks = re.findall(r"^ *```(\w*)\n(.*?)^ *```$", text(name), re.DOTALL | re.MULTILINE)
    return [line.strip() for language, block in blocks if language in languages for line in block.splitlines() if line]


def code_in_text(name):
    """What stands between backticks, code blocks left out."""
    return re.findall(r"`([^`\n]+)`", re.sub(r"^ *```.*?^ *```", "", by_hand(name), flags=re.DOTALL | re.MULTILINE))


@pytest.mark.parametrize("name", DOCUMENTS)
def test_what_is_generated_is_up_to_date(name):
    """`make docs` writes it anew."""
    assert PART.search(text(name)) is not None
    assert renewed(text(name)) == text(name), "settings or errors have changed: run `make docs`"


def test_every_error_code_is_in_the_list_of_trouble_with_a_meaning():
    rows = dict(re.findall(r"^\| `(\w+)` \| ([^|]+) \|", text("docs/trouble.md"), re.MULTILINE))
    codes = {error.code for error in error_classes()}
    assert len(codes) > 100
    assert codes == set(rows)
    assert [code for code, meaning in rows.items() if len(meaning) < 15] == []


@pytest.mark.parametrize("name", WRITTEN)
def test_every_file_that_a_document_names_is_there(name):
    named = {part for code in code_in_text(name) for part in re.findall(rf"(?:^|[\s'])((?:{LAYERS})/[\w./-]*)", code)}
    made = set(re.findall(r"Create `([^`]+)`", text(name)))  # by who follows a recipe
    assert [path for path in sorted(named - made) if not (ROOT / path.rstrip("/.")).exists()] == []


@pytest.mark.parametrize("name", WRITTEN)
def test_every_link_between_documents_leads_somewhere(name):
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", text(name)):
        path, _, anchor = target.partition("#")
        if "://" in target or target.startswith("mailto:"):
            continue
        found = (ROOT / name).parent / path if path else ROOT / name
        if not found.exists() or (anchor and anchor not in anchors(found)):
            broken.append(target)
    assert broken == []


def anchors(path):
    """The anchors of a document's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", WRITTEN)
def test_every_setting_that_a_document_names_is_one(name):
    known = all_settings()
    groups = {setting.partition(".")[0] for setting in known if "." in setting}
    dotted = re.compile(rf"(?<![\w./])((?:{'|'.join(groups)})\.[a-z_]+(?:\.[a-z_]+)*)(?![\w/(]|\.py|\.json)")
    named = set()
    for code in [*code_in_text(name), *fenced(name)]:
        named |= {found for found in dotted.findall(code) if not found.startswith("models.")}
    unknown = [one for one in sorted(named) if one not in known and not one.endswith((".py", ".parquet", ".csv"))]
    assert unknown == []


@pytest.mark.parametrize("name", WRITTEN)
def test_every_command_in_a_code_block_is_understood(name):
    """Parsed by the command's own parser, which ends the process where it does not understand."""
    for line in fenced(name):
        found = COMMAND.match(line)
        if found is not None:
            parser().parse_args(shlex.split(found[0], comments=True)[1:])


@pytest.mark.parametrize("name", WRITTEN)
def test_every_verb_and_option_in_the_text_is_known(name):
    known = verbs()
    for code in code_in_text(name):
        words = code.split()
        if words[0] == "eraflow" and len(words) > 1 and not words[1].startswith(("-", "0", ".")):
            assert words[1] in known, code
            options = {word.partition("=")[0] for word in words[2:] if word.startswith("--")}
            assert options <= known[words[1]], code


def verbs():
    """The verbs of the command with the options of each."""
    [group] = [action for action in parser()._actions if hasattr(action, "choices") and action.choices]
    found = {name: set(verb._option_string_actions) for name, verb in group.choices.items()}
    [serve] = [action for action in group.choices["sandbox"]._actions if isinstance(action.choices, dict)]
    found["sandbox"] |= {option for verb in serve.choices.values() for option in verb._option_string_actions}
    return found


@pytest.mark.parametrize("name", WRITTEN)
def test_no_document_names_a_place_on_one_computer(name):
    assert re.findall(r"(?<![\w.~])/(?:tmp|root|home|work|Users|usr/local)/\S*", text(name)) == []


def test_every_target_of_make_that_a_document_names_is_there():
    known = set(re.findall(r"^([a-z-]+):", text("Makefile"), re.MULTILINE))
    for name in WRITTEN:
        named = {found for code in code_in_text(name) for found in re.findall(r"^make ([a-z-]+)", code)}
        named |= {found for line in fenced(name) for found in re.findall(r"^make ([a-z-]+)", line)}
        assert named <= known, name


def test_make_help_lists_everything_that_a_person_may_call():
    targets = re.search(r"^\.PHONY: (.*)$", text("Makefile"), re.MULTILINE)[1].split()
    described = re.findall(r"^([a-z-]+):.*##", text("Makefile"), re.MULTILINE)
    assert set(targets) - {"ready", "tools"} == set(described)


def test_the_table_of_rooms_is_that_of_the_test_of_layers_in_its_order():
    """Every package, and the files that are rooms of their own; a room stands above those that it may import."""
    rooms = [
        room.removesuffix(".py").replace("/", ".")
        for room in re.findall(
            r"^\| `((?:eraflow|models|tasks|flows)[\w/.]*)` \|", text("ARCHITECTURE.md"), re.MULTILINE
        )
    ]
    assert set(rooms) == set(RANK) - {"eraflow", "models", "eraflow.foreigntext"}
    lower = [room for room, above in zip(rooms[1:], rooms, strict=False) if RANK[room] > RANK[above]]
    assert lower == []


def test_the_licence_and_the_readme_go_with_the_package():
    project = tomllib.loads(text("pyproject.toml"))["project"]
    assert (project["license"], project["license-files"], project["readme"]) == ("MIT", ["LICENSE"], "README.md")
    assert text("LICENSE").startswith("MIT License\n\nCopyright (c) 2026 Eraflow developers\n")


def test_the_changelog_tells_of_this_version_in_the_form_of_keep_a_changelog():
    version = tomllib.loads(text("pyproject.toml"))["project"]["version"]
    headings = re.findall(r"^## \[([^\]]+)\]", text("CHANGELOG.md"), re.MULTILINE)
    assert headings[0] == "Unreleased"
    assert version in text("CHANGELOG.md")
    kinds = set(re.findall(r"^### (.*)$", text("CHANGELOG.md"), re.MULTILINE))
    assert kinds <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def test_the_last_words_of_a_run_name_a_section_that_is_there():
    """`README, Going live` in the terminal leads a person to a heading."""
    shown = (ROOT / "flows/command/starting/summary.py").read_text(encoding="utf-8")
    [section] = re.findall(r"\(README, (.*?)\)", re.sub(r'"\s*"', "", shown))
    assert f"\n## {section}\n" in text("README.md")


@pytest.mark.parametrize("name", WRITTEN)
def test_every_class_and_function_that_a_document_names_is_in_the_code(name):
    """A name of capitals inside or with an underscore, between backticks, stands somewhere in the source."""
    named = {word for code in code_in_text(name) for word in re.findall(r"\b[A-Za-z]\w{3,}\b", code)}
    named = {word for word in named if "_" in word or re.search(r"[a-z][A-Z]", word)}
    made = set(re.findall(r"Create `[^`]*?(\w+)\.py`", text(name)))  # by who follows a recipe
    systemd = {"DynamicUser"}
    assert sorted(named - words_of_the_source() - made - systemd) == []


@cache
def words_of_the_source():
    """Every word of the product, its tests and what starts it, and the names of their files."""
    files = [path for layer in LAYERS.split("|") for path in (ROOT / layer).rglob("*.py")]
    files += [ROOT / "Makefile", ROOT / "prefect.yaml", *(ROOT / "deployments" / "systemd").iterdir()]
    words = {path.stem for path in files}
    for path in files:
        words |= set(re.findall(r"\w+", path.read_text(encoding="utf-8")))
    return words
