"""What the command says of itself."""

import shlex
import subprocess
import sys

import pytest
from harness import tool
from lwm2m_factory import cli


@pytest.mark.parametrize("name", cli.EXAMPLES)
def test_help_has_an_example(name: str, capsys) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main([name, "--help"])
    assert caught.value.code == 0
    lines = capsys.readouterr().out.splitlines()
    (example,) = [line for line in lines if line.startswith("Example: ")]
    words = shlex.split(example.partition(" >")[0])
    assert words[1:3] == ["lwm2m-factory", name]
    assert cli.make_parser().parse_args(words[2:]).run  # it is a right one
    assert max(map(len, lines)) <= 100


def test_python_that_is_too_old() -> None:
    code = (
        "import sys, runpy\nsys.version_info = (3, 8, 18, 'final', 0)\n"
        "runpy.run_module('lwm2m_factory', run_name='__main__')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=tool.environment(), capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (
        1,
        "lwm2m-factory needs Python 3.9 or newer, and this is 3.8: start it with another one.\n",
    )
