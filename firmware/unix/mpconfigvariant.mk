# tools/builds/build_unix.py uses this folder as VARIANT_DIR.
FROZEN_MANIFEST ?= $(VARIANT_DIR)/manifest.py
MBEDTLS_CONFIG_FILE = \"mbedtls_config_variant.h\"

# Left out: what boards do not have, or what would need libraries (libffi) and submodules of its own.
MICROPY_PY_BTREE = 0
MICROPY_PY_FFI = 0
MICROPY_PY_THREAD = 0
