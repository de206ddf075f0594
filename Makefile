# Every job of this project by name; `make help` lists them.
#
# The first one builds MicroPython's unix port from Debian's sources. To use an upstream checkout
# instead: make MICROPYTHON=/path/to/micropython ... (1.29 or newer, submodules initialised).

PYTHON ?= python3
job = make $(or $(firstword $(MAKECMDGOALS)),help)

# The redirection makes sure that a shell runs it: `command` is no program.
ifeq (,$(shell command -v $(PYTHON) 2>/dev/null))
$(error $(job) needs $(PYTHON): apt-get install python3)
endif

export MICROPYTHON
build = $(PYTHON) tools/build_unix.py --for "$(job)"
venv = build/venv/bin/python

.PHONY: help build run test check interop firmware bundle flash test-board bench size clean distclean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1\t\2/p' Makefile | expand -t 16
	@echo "MICROPYTHON=/path builds from an upstream checkout (1.29 or newer), not from Debian's sources."

build: ## build MicroPython's unix port and the test tools, as the others do when needed
	@$(build) --venv

run: ## a bootstrap server, a server and a client here; SECURITY=psk, cert or none; PORT=, BS_PORT= choose UDP ports
	@$(build) --venv
	@$(venv) tools/run.py $(if $(SECURITY),--security $(SECURITY)) $(if $(BS_PORT),--bootstrap-port $(BS_PORT)) $(if $(PORT),--port $(PORT)) $(RUN_ARGS)

test: ## all tests but those with other projects' servers; PYTEST_ARGS= for pytest
	@$(build) --venv
	@$(venv) -m pytest tests --ignore=tests/interop --ignore=tests/board -n auto --dist loadfile $(PYTEST_ARGS)

check: ## lint, formatting and spelling
	@$(PYTHON) tools/testenv.py --for "$(job)"
	@$(venv) -m ruff check
	@$(venv) -m ruff format --check
	@$(venv) -m codespell_lib

interop: ## tests with Leshan, which Maven fetches, and with libcoap
	@$(build) --venv --also java --also mvn --also coap-server-gnutls
	@$(venv) -m pytest tests/interop $(PYTEST_ARGS)

firmware: ## BOARD='s image, in build/firmware; ROLE= is one of firmware/manifests, client if none is given
	@$(PYTHON) tools/build_firmware.py $(BOARD) --role $(or $(ROLE),client) --for "$(job)"

bundle: ## what turns stock MicroPython into a device, in build/bundle: a mip package and file systems; ROLE=, minimal if none is given
	@$(PYTHON) tools/testenv.py --for "$(job)"
	@$(venv) tools/bundle.py --role $(or $(ROLE),minimal) --for "$(job)"

flash: ## write BOARD='s image over PORT=, or with IMAGE= stock MicroPython and the bundle in one go; DRIVE= of a Pico, ROLE=
	@$(PYTHON) tools/testenv.py --for "$(job)"
	@$(venv) tools/flash_board.py $(BOARD) --for "$(job)" $(if $(PORT),--port "$(PORT)") $(if $(DRIVE),--drive "$(DRIVE)") $(if $(IMAGE),--image "$(IMAGE)") $(if $(ROLE),--role $(ROLE))

test-board: ## tests of the RP2040 image on an emulated board, for which they need Node and npm
	@$(build) --venv
	@$(PYTHON) tools/build_firmware.py RPI_PICO_LWM2M --for "$(job)"
	@$(PYTHON) tools/emulator.py --for "$(job)"
	@$(venv) -m pytest tests/board -n auto $(PYTEST_ARGS)

bench: ## memory, datagrams and time of the client, in a 32-bit build and on an emulated board
	@$(build) standard bench32 --venv
	@$(PYTHON) tools/build_firmware.py RPI_PICO_LWM2M --for "$(job)"
	@$(PYTHON) tools/emulator.py --for "$(job)"
	@$(venv) tools/bench.py $(BENCH_ARGS)

size: ## bytes of flash that each package takes, against its budget; with BOARD= (and ROLE=) the parts of an image
	@$(build)
	@$(PYTHON) $(if $(BOARD),tools/size_board.py $(BOARD) --role $(or $(ROLE),client) --for "$(job)",tools/size.py)

clean: ## remove what was built, but keep the downloads in build/cache
	@if [ -d build ]; then find build -mindepth 1 -maxdepth 1 ! -name cache -exec rm -rf {} +; fi

distclean: ## remove build/ wholly
	@rm -rf build
