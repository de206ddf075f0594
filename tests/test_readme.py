"""What the READMEs show is what is tested: their programs, configurations, commands, files and links."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from builds.steps import ROOT
from harness.micropython import micropython
from lwm2m_factory import cli, config, identity, image, toml

FOLDERS = ("", ".github", "boards", "boards/*", "firmware", "lib", "lib/*", "tests", "tools")
TEXTS = sorted(path for folder in FOLDERS for path in ROOT.glob(f"{folder}/*.md".lstrip("/")))
READMES = [path for path in TEXTS if path.name != "CHANGELOG.md"]
MAKEFILE = (ROOT / "Makefile").read_text()
# What lines of commands begin with beside make and lwm2m-factory.
OTHERS = {
    ".",
    "MICROPYPATH=build/lib:.frozen",
    "build/venv/bin/python",
    "FUZZ=10",
    "esptool",
    "for",
    "kill",
    "mpremote",
    "openssl",
    "pip",
}


def name(path):
    return str(path.relative_to(ROOT))


def blocks(path, language):
    """The blocks of code in that language, "" for none."""
    found = re.findall(r"^```([^\n]*)\n(.*?)^```$", path.read_text(), re.S | re.M)
    return [text for each, text in found if each == language]


def shown(language):
    return [path for path in READMES if blocks(path, language)]


def prose(path):
    """The text without its blocks."""
    return re.sub(r"^```.*?^```$", "", path.read_text(), flags=re.S | re.M)


def slug(heading):
    # As GitHub makes anchors.
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def test_there_is_a_readme_everywhere():
    folders = [path.parent for path in ROOT.glob("lib/*/manifest.py")]
    folders += [ROOT / part for part in ("lib", "firmware", "boards", "tools", "tests", "")]
    assert [name(each) for each in folders if not (each / "README.md").exists()] == []


def test_root_is_short():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 160


@pytest.mark.parametrize("path", shown("python"), ids=name)
def test_programs(path, tmp_path):
    # As they stand there, and what they print is as the comment behind it says, or as the block below.
    for program in blocks(path, "python"):
        done = micropython("-c", program, cwd=tmp_path, timeout=60)
        assert done.returncode == 0 and not done.stderr, done.stdout + done.stderr
        said = re.findall(r"^print\(.*\)  # ([^:\n]*)", program, re.M)
        if said:
            for comment, line in zip(said, done.stdout.splitlines()):
                assert line.startswith(comment), (comment, line)


def test_first_program(tmp_path):
    # It says within a second what it does, though no server answers, and ends by itself.
    (program,) = blocks(ROOT / "README.md", "python")
    done = micropython("-c", program.replace("range(10)", "range(1)"), cwd=tmp_path, timeout=60)
    assert done.stdout and not done.stderr


def test_table_of_ets_cases():
    program = ROOT / "tests" / "interop" / "ets.py"
    done = subprocess.run([sys.executable, program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_ucoap_example(tmp_path):
    text = (ROOT / "lib" / "ucoap" / "README.md").read_text()
    program, output = re.search(r"```python\n(.*?)```\n\n```\n(.*?)```", text, re.S).groups()
    (tmp_path / "example.py").write_text(program)
    done = micropython(str(tmp_path / "example.py"))
    assert (done.stdout, done.stderr) == (output, "")


@pytest.mark.parametrize("path", shown("toml"), ids=name)
def test_configurations(path, tmp_path):
    # What is missing of a whole one is what every device needs.
    for text in blocks(path, "toml"):
        missing = ""
        if "endpoint =" not in text:
            missing += 'endpoint = "{chip_id}"\n'
        if "[bootstrap]" not in text:
            text += '[bootstrap]\nuri = "coap://192.0.2.1"\nserver = []\n'
        if "[network]" not in text:
            text += '[network]\ntype = "none"\n'
        if "[update]" in text:
            toml.read(text)  # its keys are files
            continue
        (tmp_path / "factory.toml").write_text(missing + text)
        config.load(tmp_path / "factory.toml", ("serial",))


def test_factory_configuration(tmp_path):
    path = tmp_path / "factory.toml"
    path.write_text(blocks(ROOT / "README.md", "toml")[0])
    values = {"chip_id": "e66038b713952130", "mac": "28cdc1020304", "serial": "0001"}
    made = identity.make(config.load(path), values)
    endpoint, state, settings = image.unpack(made.data)
    assert endpoint == "urn:dev:ops:32473-0001"
    assert settings["network"]["apn"] == "iot.example"
    assert state[0][0][0] == "coaps://bs.example.org" and len(state[0][0][5]) == 16


def check_make(words):
    target, *rest = [word for word in words[1:] if word != "-s"] or ["help"]
    if "=" in target:  # make X=y target
        rest.append(target)
        target = next((word for word in rest if "=" not in word), "help")
    if target != "…":
        assert re.search(rf"^{re.escape(target)}:", MAKEFILE, re.M), words
    for word in rest:
        variable = word.split("=")[0]
        assert "=" not in word or re.search(rf"\b{variable}\b", MAKEFILE), words


def check_factory(words):
    if words[1:]:
        # Quoted in a sentence it may be the command alone.
        commands = cli.EXAMPLES
        assert words[1] in commands or words[1].startswith("-"), words


@pytest.mark.parametrize("path", READMES, ids=name)
def test_commands(path):
    for text in blocks(path, ""):
        if not re.match(r"(make|lwm2m-factory|pip|mpremote|openssl|esptool|\. )\b", text):
            continue  # what is printed, or drawn
        for line in text.replace("\\\n", "").splitlines():
            words = shlex.split(line, comments=True)
            if words[:1] == ["make"]:
                check_make(words)
            elif words[:1] == ["lwm2m-factory"]:
                assert cli.make_parser().parse_args(words[1:]).run  # all of its options
            elif words:
                assert words[0] in OTHERS, line
    for quoted in re.findall(r"`((?:make|lwm2m-factory) [^`]*)`", prose(path)):
        words = shlex.split(quoted.replace("\n", " ").replace("<its name>", "X"))
        check_make(words) if words[0] == "make" else check_factory(words)


@pytest.mark.parametrize("path", TEXTS, ids=name)
def test_links_and_files(path):
    text = prose(path)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"https?:", link):
            continue
        file, _, anchor = link.partition("#")
        target = (path.parent / file).resolve() if file else path
        assert target.exists(), link
        if anchor:
            headings = re.findall(r"^#+ (.*)$", target.read_text(), re.M)
            assert anchor in map(slug, headings), link
    if path.name == "CHANGELOG.md":  # what was there once
        return
    for quoted in re.findall(r"`((?:lib|firmware|boards|tools|tests)/[\w./-]+)`", text):
        assert (ROOT / quoted).exists(), quoted


def test_functions_of_the_architecture():
    # Each `name()` or `Class.name()` of lib/README.md is defined, in a file that it names.
    text = (ROOT / "lib" / "README.md").read_text()
    text = text[: text.index("## The reference's calls")]
    sources = "".join(
        path.read_text()
        for folder in ("lib", "firmware")
        for path in ROOT.glob(f"{folder}/**/*.py")
    )
    for quoted in set(re.findall(r"`([\w.]+)\(", text)):
        last = quoted.split(".")[-1]
        assert re.search(rf"def {last}\(", sources) or last in ("setup", "require"), quoted


def test_troubleshooting_has_what_is_printed():
    # The first column of the table, in the sources: what is between … stands together there.
    text = (ROOT / "firmware" / "README.md").read_text()
    rows = re.findall(r"^\| `(.*?)` \|", text[text.index("## Troubleshooting") :], re.M)
    assert len(rows) >= 20
    folders = ("lib", "firmware", "tools")
    sources = "\n".join(
        path.read_text() for folder in folders for path in Path(ROOT / folder).glob("**/*.py")
    )
    sources = re.sub(r'"\s*\n\s*f?"', "", sources)  # strings on several lines
    for row in rows:
        if row.startswith("Network: OSError"):
            assert f"OSError({row.split()[-1]})" in sources, row
            continue
        for part in row.split("…"):
            assert part.strip() in re.sub(r"%[ds]|\{.*?\}", "…", sources), row
