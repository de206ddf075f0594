# Runs the test functions of one module, under MicroPython: run.py MODULE [FUNCTION...]
#
# Prints a line a test: "PASS name", or "FAIL name" with the traceback in lines behind it that
# start with a space; then "DONE". conftest.py reads that.

import io
import sys

# This folder stands in MICROPYPATH too, behind the library: its programs must not hide packages.
sys.path.pop(0)
module = __import__(sys.argv[1])
wanted = sys.argv[2:]
for name in sorted(dir(module)):
    if name.startswith("test_") and (not wanted or name in wanted):
        try:
            getattr(module, name)()
        except Exception as e:
            buf = io.StringIO()
            sys.print_exception(e, buf)
            print("FAIL", name)
            for line in buf.getvalue().split("\n"):
                print(" ", line)
        else:
            print("PASS", name)
print("DONE")
