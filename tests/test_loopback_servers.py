"""Every server that is started here listens on this computer alone."""

import ast
from pathlib import Path

import pytest

from flows.command.prefectserver.mlflowserver import mlflow_command

ROOT = Path(__file__).parent.parent
SERVERS = {"create_server", "HTTPServer", "ThreadingHTTPServer", "TCPServer", "bind"}
LOOPBACK = "127.0.0.1"


def listeners():
    """(file, what is said of the host) of each call in the product that opens a port."""
    for package in ("eraflow", "models", "tasks", "flows", "deployments"):
        for path in sorted((ROOT / package).rglob("*.py")):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            constants = {
                target.id: node.value.value
                for node in tree.body
                if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
                for target in node.targets
                if isinstance(target, ast.Name)
            }
            constants |= {
                alias.asname or alias.name: LOOPBACK
                for node in ast.walk(tree)
                if isinstance(node, ast.ImportFrom) and str(node.module).endswith("runserver")
                for alias in node.names
                if alias.name == "HOST"
            }
            for node in ast.walk(tree):
                if isinstance(node, ast.Call) and node.args and _opens_a_port(node):
                    yield str(path.relative_to(ROOT)), _host(node.args[0], constants)


def _opens_a_port(call):
    name = _name(call.func)
    return name in SERVERS and (name != "bind" or isinstance(call.args[0], ast.Tuple))  # signatures are bound, too


def _name(function):
    return getattr(function, "attr", getattr(function, "id", ""))


def _host(address, constants):
    first = address.elts[0] if isinstance(address, ast.Tuple) else address
    return constants.get(first.id) if isinstance(first, ast.Name) else getattr(first, "value", None)


def test_every_port_is_opened_on_the_loopback():
    found = list(listeners())
    assert {path for path, _ in found} >= {"eraflow/sandbox/process.py", "flows/command/prefectserver/runserver.py"}
    assert [one for one in found if one[1] != LOOPBACK] == []


def test_the_prefect_servers_share_that_constant():
    from eraflow.sandbox import process
    from flows.command.prefectserver import runserver

    assert (process.HOST, runserver.HOST) == (LOOPBACK, LOOPBACK)


def test_mlflow_is_told_so_whatever_the_environment_says(tmp_path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MLFLOW_HOST", "0.0.0.0")
    command = mlflow_command(tmp_path, 5000)
    assert command[command.index("--host") + 1] == LOOPBACK
