"""What make build, firmware, bundle and flash do: sources, programs, images, and what they are made with.

steps, sources, build_unix, build_firmware, testenv, emulator and stage run before build/venv exists, on
Python 3.9 with nothing but the standard library.
"""
