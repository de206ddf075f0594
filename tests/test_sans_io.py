"""Codec, engine, cores and model take bytes and a time, and never touch the world themselves."""

import ast

import pytest
from conftest import ROOT

LIB = ROOT / "lib"
PURE = [
    "ucoap/ucoap/__init__.py",
    "ucoap/ucoap/engine.py",
    *(
        f"lwm2m/lwm2m/{name}.py"
        for name in (
            "__init__",
            "bootstrap",
            "bootstrap_server",
            "clients",
            "consistency",
            "context",
            "core",
            "credentials",
            "keys",
            "model",
            "objects",
            "observe",
            "server",
            "server_core",
            "table",
            "tlv",
        )
    ),
]
WORLD = set("asyncio machine network os random select socket ssl _thread time tls".split())
WORLD |= {"u" + name for name in WORLD}


def imported(path):
    """Names of the modules that a file imports, at its top or inside of functions."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names.add(node.module.split(".")[0])
        elif isinstance(node, ast.Call) and getattr(node.func, "id", "") == "__import__":
            # "lwm2m." + name in the package's __getattr__; anything else would be a way around.
            assert ast.unparse(node.args[0]) == "'lwm2m.' + module"
    return names


@pytest.mark.parametrize("name", PURE)
def test_pure(name):
    assert not imported(LIB / name) & WORLD


def test_the_check_itself(tmp_path):
    bad = tmp_path / "bad.py"
    bad.write_text("def f():\n    from time import ticks_ms\n    import socket as s\n")
    assert imported(bad) & WORLD == {"time", "socket"}
    assert "socket" in imported(LIB / "lwm2m/lwm2m/net.py")
