"""What README shows is what is tested."""

from conftest import ROOT

EXAMPLES = ROOT / "lib" / "lwm2m" / "examples"


def test_secure_element():
    # tests/unit/test_context.py runs it.
    program = (EXAMPLES / "secure_element.py").read_text().split("\n\n", 1)[1].strip()
    assert f"```python\n{program}\n```" in (ROOT / "README.md").read_text()
