"""A package's folder has its own modules, which know those of the packages that it requires; and the
world is touched at the edge only: codec, engine, cores and model take bytes and a time.
"""

import ast

import pytest
from builds import stage
from builds.steps import ROOT
from harness.micropython import lib_dir

MANIFESTS = {path.parent.name: path for path in sorted(ROOT.glob("lib/*/manifest.py"))}

# What modules of a package look for inside of functions, and do without where an image lacks it.
OPTIONAL = {
    "lwm2m": {
        "lwm2m.access",
        "lwm2m.accounts",
        "lwm2m.bootstrap",
        "lwm2m.cbor_value",
        "lwm2m.composite",
        "lwm2m.context",
        "lwm2m.debug",
        "lwm2m.dtls",
        "lwm2m.instances",
        "lwm2m.listen",
        "lwm2m.lwm2m_cbor",
        "lwm2m.observe",
        "lwm2m.queue",
        "lwm2m.resume",
        "lwm2m.security",
        "lwm2m.send",
        "lwm2m.senml_cbor",
        "lwm2m.senml_json",
        "lwm2m.store",
        "lwm2m.text",
        "lwm2m.tlv",
        "lwm2m.update",
        "lwm2m.v12",
        "lwm2m.words",
    },
    "lwm2m-attributes": {"lwm2m.v12"},
    "lwm2m-bootstrap": {"lwm2m.bootstrap_pack"},
    "lwm2m-composite": {"lwm2m.observe"},
    "lwm2m-dtls": {"lwm2m.rpk", "lwm2m.x509"},
    "lwm2m-dtls-server": {"lwm2m.rpk", "lwm2m.x509"},
    "lwm2m-observe": {"lwm2m.attributes", "lwm2m.storing"},
    "lwm2m-queue": {"lwm2m.observe"},
    "lwm2m-security": {"lwm2m.dtls", "lwm2m.rpk"},
    "lwm2m-server-core": {"lwm2m.credentials", "lwm2m.dtls_server", "lwm2m.rpk"},
    "lwm2m-store": {"lwm2m.keys"},
    "lwm2m-update": {"lwm2m.pull"},
}

# The modules that have to do with the world, and of what in it.
WORLD = set("asyncio machine network os random select socket ssl _thread time tls".split())
WORLD |= {"u" + name for name in WORLD}
EDGE = {
    "lwm2m.client": {"machine", "time"},
    "lwm2m.dtls": {"tls"},
    "lwm2m.dtls_server": {"os", "tls"},
    "lwm2m.listen": {"socket"},
    "lwm2m.net": {"os", "select", "socket", "time"},
    "lwm2m.pull": {"os"},
    "lwm2m.resume": {"tls"},
    "lwm2m.slots": {"os"},
    "lwm2m.store": {"os"},
    "lwm2m.x509": {"time", "tls"},
}


def name_of(target):
    """The name that a module is imported by: of lwm2m/core.py, lwm2m.core."""
    return target[: -len(".py")].replace("/__init__", "").replace("/", ".")


@pytest.fixture(scope="module")
def packages():
    """{package: (names of its own modules, of those that it may know)}."""
    found = {}
    for package, manifest in MANIFESTS.items():
        listed = stage.modules(manifest)
        own = {name_of(module.target): module.source for module in listed if module.own}
        found[package] = own, {name_of(module.target) for module in listed}
    return found


def imported(text, package="lwm2m"):
    """(name, whether inside of a function) of each module that a source in that package imports.

    What is imported by names out of a table has that table for its names.
    """
    found = set()

    def table(name, default):
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name:
                value = node.value
                return ast.literal_eval(value.args[0] if isinstance(value, ast.Call) else value)
        return default

    assigned = {}

    def add(name, inside):
        found.add((name, inside))

    def visit(node, inside):
        inside = inside or isinstance(node, (ast.FunctionDef, ast.Lambda))
        if isinstance(node, ast.Import):
            for alias in node.names:
                add(alias.name, inside)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join([package] * node.level + [node.module] * bool(node.module))
            add(base, inside)
            for alias in node.names if node.level and not node.module else ():
                add(f"{base}.{alias.name}", inside)  # a name of the package, or a module of it
        elif isinstance(node, ast.Assign):
            assigned[ast.unparse(node.targets[0])] = ast.unparse(node.value)
        elif isinstance(node, ast.Call) and getattr(node.func, "id", "") == "__import__":
            # "lwm2m." + a name out of a table; anything else would be a way around.
            name = ast.unparse(node.args[0])
            assert assigned.get(name, name) == "'lwm2m.' + module"
            for name in table("_MODULES", ()):
                add("lwm2m." + name, inside)
        elif isinstance(node, ast.Call) and getattr(node.func, "id", "") == "optional":
            names = table("_PARTS", ())
            if isinstance(node.args[0], ast.Constant):
                names = (node.args[0].value,)
            for name in names:
                add("lwm2m." + name, inside)
        for child in ast.iter_child_nodes(node):
            visit(child, inside)

    visit(ast.parse(text), False)
    return found


def test_no_path_twice(tmp_path):
    listed = [module for manifest in MANIFESTS.values() for module in stage.modules(manifest)]
    stage.merge(listed, tmp_path / "all")
    links = list((tmp_path / "all").rglob("*.py"))
    every = [path for path in ROOT.glob("lib/*/*/*.py") if path.parent.name != "examples"]
    assert len(links) == len(every)  # every module is in a manifest
    for link in links:
        assert link.is_symlink() and link.resolve().is_relative_to(ROOT / "lib")


def test_a_path_of_two_packages_is_refused(tmp_path):
    for name in ("one", "other"):
        (tmp_path / name / "lwm2m").mkdir(parents=True)
        (tmp_path / name / "lwm2m" / "core.py").touch()
    manifest = tmp_path / "manifest.py"
    manifest.write_text('package("lwm2m", base_path="one")\npackage("lwm2m", base_path="other")\n')
    with pytest.raises(stage.StageError, match=r"one/lwm2m/core\.py and .* are both lwm2m/core"):
        stage.merge(stage.modules(manifest), tmp_path / "all")


def test_everything_runs_from_links():
    src = lib_dir("src")
    assert (src / "lwm2m" / "core.py").resolve() == ROOT / "lib/lwm2m/lwm2m/core.py"
    assert (stage.LIB / "lwm2m" / "store.py").resolve() == ROOT / "lib/lwm2m-store/lwm2m/store.py"


@pytest.mark.parametrize("package", MANIFESTS)
def test_who_knows_whom(packages, package):
    every = {name for own, _ in packages.values() for name in own}
    own, known = packages[package]
    for name, source in own.items():
        for other, inside in imported(source.read_text(), name.split(".")[0]):
            if other in every and other not in known:
                where = OPTIONAL.get(package, ()) if inside else ()
                assert other in where, f"{name} imports {other}"


@pytest.mark.parametrize("package", OPTIONAL)
def test_what_is_optional_is_looked_for(packages, package):
    looked_for = {
        name
        for module, source in packages[package][0].items()
        for name, inside in imported(source.read_text(), module.split(".")[0])
        if inside
    }
    assert OPTIONAL[package] <= looked_for


@pytest.mark.parametrize("package", MANIFESTS)
def test_the_world_is_at_the_edge(packages, package):
    for name, source in packages[package][0].items():
        names = {other.split(".")[0] for other, _ in imported(source.read_text())}
        assert names & WORLD == EDGE.get(name, set()), name


def test_the_check_itself():
    bad = (
        "def f():\n    from time import ticks_ms\n    import socket as s\nfrom .core import Core\n"
    )
    assert imported(bad) == {("time", True), ("socket", True), ("lwm2m.core", False)}
    assert ("lwm2m.core", False) in imported("from . import core\n")
    lazy = '_MODULES = const(("client",))\ndef __getattr__(name):\n'
    lazy += "    module = name\n    __import__('lwm2m.' + module)\n"
    assert imported(lazy) == {("lwm2m.client", True)}
    with pytest.raises(AssertionError):
        imported("__import__('socket')")
