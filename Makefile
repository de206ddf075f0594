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

export MICROPYTHON ACCEPT_SOURCE
# The tools are packages in tools/, and their modules are what runs: first with this Python, which has
# the standard library only, then with the one in build/venv.
tools = PYTHONPATH="$(CURDIR)/tools$${PYTHONPATH:+:$$PYTHONPATH}"
module = $(tools) $(PYTHON) -m
venv = $(tools) build/venv/bin/python -m
build = $(module) builds.build_unix --for "$(job)"

.PHONY: help build run shell device test soak preview check interop firmware bundle flash test-board bench size clean distclean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1\t\2/p' Makefile | expand -t 16
	@echo "MICROPYTHON=/path builds from an upstream checkout (1.29 or newer), not from Debian's sources."

build: ## build MicroPython's unix port and the test tools, as the others do when needed
	@$(build) --venv

run: ## a bootstrap server, a server and a client here; SECURITY=psk, rpk, cert or none; FLOW=reference bootstraps as the reference does; PORT=, BS_PORT= choose UDP ports
	@$(build) --venv
	@$(venv) demo.run $(if $(SECURITY),--security $(SECURITY)) $(if $(FLOW),--flow "$(FLOW)") $(if $(BS_PORT),--bootstrap-port $(BS_PORT)) $(if $(PORT),--port $(PORT)) $(RUN_ARGS)

shell: ## MicroPython's REPL here, with all packages in its path: import lwm2m
	@$(build)
	@$(module) builds.stage full >build/log/stage
	@MICROPYPATH=build/lib:.frozen build/unix/micropython

device: ## firmware/main.py here, with APP=path/app.py and CONFIG=factory.toml, as on a board; SERIAL=
	@$(build) --venv
	@$(venv) demo.device "$(or $(APP),firmware/app.py)" "$(or $(CONFIG),factory.toml)" $(if $(SERIAL),--serial "$(SERIAL)")

test: ## all tests but those with other projects' servers; PYTEST_ARGS= for pytest
	@$(build) --venv
	@$(venv) pytest tests --ignore=tests/interop --ignore=tests/board --ignore=tests/soak -n auto --dist loadfile --no-loadscope-reorder $(PYTEST_ARGS)

soak: ## long runs, for hours: 5,000 boards of a factory, its cable pulled at every byte, 10,000 clients after outages (HERD= of them), power cuts of updates (CUTS=) and of sleep; PYTEST_ARGS= for pytest
	@$(build) --venv
	@$(module) builds.emulator --for "$(job)"
	@LINE=5000 $(venv) pytest tests/factory/test_ledger.py -k killed_with_postgresql
	@CABLE_STEP=1 KILL_STEP=1 $(venv) pytest -s tests/factory/test_board.py tests/factory/test_killed.py -k "cable_pulled or each_step"
	@$(venv) pytest tests/soak tests/board/soak_update.py -s $(PYTEST_ARGS)
	@SLEEP_STEP=1 $(venv) pytest -s tests/test_sleep_cuts.py $(PYTEST_ARGS)
	@SLEEPS=100 $(venv) pytest tests/interop/test_sleep.py $(PYTEST_ARGS)
	@CHANGES=50000 $(venv) pytest tests/test_mbedtls.py $(PYTEST_ARGS)

preview: ## the tests under MicroPython, under a preview of the next one; needs CPython 3.11
	@$(build) --venv
	@$(module) builds.preview --for "$(job)"
	@MICROPYTHON_UNDER_TEST=build/preview/micropython $(venv) pytest tests/unit -n auto --dist loadfile --no-loadscope-reorder $(PYTEST_ARGS)

check: ## lint, formatting, spelling, who imports whom, and each program, command and link of every README
	@$(build) --venv
	@$(venv) ruff check
	@$(venv) ruff format --check
	@$(venv) codespell_lib
	@$(venv) pytest -q tests/test_layout.py tests/test_readme.py

interop: ## tests with Leshan, which Maven fetches, with libcoap and aiocoap
	@$(build) --venv --also javac --also mvn --also coap-server-gnutls
	@$(venv) pytest tests/interop -n logical --dist worksteal $(PYTEST_ARGS)

firmware: ## BOARD='s image, in build/firmware; ROLE= is one of firmware/manifests, client if none is given
	@$(module) builds.build_firmware $(BOARD) --role $(or $(ROLE),client) --for "$(job)"

bundle: ## what turns stock MicroPython into a device, in build/bundle: a mip package, an index for mip and file systems; ROLE=, minimal if none is given
	@$(module) builds.testenv --for "$(job)"
	@$(venv) builds.bundle --role $(or $(ROLE),minimal) --for "$(job)"

flash: ## write BOARD='s image over PORT=, or with IMAGE= stock MicroPython and the bundle in one go; DRIVE= of a Pico, ROLE=
	@$(module) builds.testenv --for "$(job)"
	@$(venv) builds.flash_board $(BOARD) --for "$(job)" $(if $(PORT),--port "$(PORT)") $(if $(DRIVE),--drive "$(DRIVE)") $(if $(IMAGE),--image "$(IMAGE)") $(if $(ROLE),--role $(ROLE))

test-board: ## tests of RP2040 images on an emulated board, for which they need Node and npm, and Leshan's client
	@$(build) --venv --also java --also mvn
	@$(module) builds.build_firmware RPI_PICO_LWM2M --for "$(job)"
	@$(module) builds.build_firmware RPI_PICO_LWM2M --role station --for "$(job)"
	@$(module) builds.build_firmware RPI_PICO_LWM2M --role full --for "$(job)"
	@$(module) builds.emulator --for "$(job)"
	@$(module) builds.stock --for "$(job)"
	@$(venv) pytest tests/board -n logical --dist loadgroup --no-loadscope-reorder $(PYTEST_ARGS)

bench: ## memory, datagrams and time of the client, in a 32-bit build and on an emulated board
	@$(build) standard bench32 stock32 --venv
	@$(module) builds.build_firmware RPI_PICO_LWM2M --for "$(job)"
	@$(module) builds.emulator --for "$(job)"
	@$(venv) measure.bench $(BENCH_ARGS)

size: ## bytes of flash that each package takes, against its budget; with BOARD= (and ROLE=) the parts of an image
	@$(build)
	@$(module) $(if $(BOARD),measure.size_board $(BOARD) --role $(or $(ROLE),client) --for "$(job)",measure.size)

clean: ## remove what was built, but keep the downloads in build/cache
	@if [ -d build ]; then find build -mindepth 1 -maxdepth 1 ! -name cache -exec rm -rf {} +; fi

distclean: ## remove build/ wholly
	@rm -rf build
