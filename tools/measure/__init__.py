"""What make size and make bench print: flash, heap, datagrams, time.

size and size_board run before build/venv exists, with nothing but the standard library. programs/ are
MicroPython's, which bench and bench_board run.
"""
