"""A failing test under MicroPython is seen to fail, with the library compiled at -O3 too."""

from harness.micropython import UNIT, micropython


def test_canary(tmp_path):
    (tmp_path / "canary.py").write_text(
        "def test_good():\n    assert 1 + 1 == 2\n\n\ndef test_bad():\n    assert 1 + 1 == 3\n"
    )
    for flavour in ("src", "mpy"):
        done = micropython(
            "-c",
            f"import sys; sys.path.append({str(tmp_path)!r}); sys.argv[1:] = ['canary'];"
            f"exec(open({str(UNIT / 'run.py')!r}).read())",
            flavour=flavour,
        )
        assert "PASS test_good" in done.stdout, done.stderr
        assert "FAIL test_bad\n" in done.stdout
        assert "AssertionError" in done.stdout
