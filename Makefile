# Every target sets itself up on a fresh Debian machine and starts at once the second time.
# make demo | test | bench | lint | wheels, and the slower ones listed by `make help`.
PYTHON ?= python3
VENV ?= .venv
STAMPS := $(VENV)/stamps
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check
# twice as many as there are processors: half of the time tests wait for servers and processes
WORKERS ?= $(shell expr 2 '*' $$(getconf _NPROCESSORS_ONLN))
PARALLEL := -n $(WORKERS) --dist loadgroup
SANITIZED := build/sanitize
THREADED := build/tsan

NATIVE := $(shell find native -name '*.[ch]' -o -name '*.inc' -o -name '*.py')
PROJECT := pyproject.toml setup.py src/rapidjws/_version.py

.DEFAULT_GOAL := help
.PHONY: help demo partners gateways opa h2spec kubernetes vectors test test-long test-sanitize test-valgrind test-tsan test-bare test-mutants test-claim-mutants test-dpop-mutants test-audit-kills test-audit-flips test-pyjwt bench bench-gateways bench-signing bench-rotation docs lint format wheels release-check clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 24

# --- the environment, step by step, each step a stamp --------------------------------------------

$(STAMPS)/venv: tools/system_packages.sh
	PYTHON=$(PYTHON) sh tools/system_packages.sh build
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --upgrade 'pip>=25.1'
	@mkdir -p $(STAMPS) && touch $@

$(STAMPS)/build-deps: $(STAMPS)/venv pyproject.toml
	$(PIP) install --group build
	@touch $@

$(STAMPS)/package: $(STAMPS)/build-deps $(PROJECT) $(NATIVE)
	rm -f src/rapidjws/_rapidjws*.so
	$(PIP) install --no-build-isolation --editable '.[cli]'
	@touch $@

$(STAMPS)/test-deps: $(STAMPS)/venv pyproject.toml
	-PYTHON=$(PYTHON) sh tools/system_packages.sh test
	$(PIP) install --group test --group middleware
	@touch $@

$(STAMPS)/lint-deps: $(STAMPS)/venv pyproject.toml
	$(PIP) install --group lint
	@touch $@

$(STAMPS)/release-deps: $(STAMPS)/venv pyproject.toml
	PYTHON=$(PYTHON) sh tools/system_packages.sh release
	-PYTHON=$(PYTHON) sh tools/system_packages.sh cross
	$(PIP) install --group release
	@touch $@

$(STAMPS)/docs-deps: $(STAMPS)/venv pyproject.toml
	$(PIP) install --group docs
	@touch $@

# --- what people run -----------------------------------------------------------------------------

demo: $(STAMPS)/package ## keys, a JWKS and thousands of tokens, verified before your eyes
	$(BIN)/rapidjws demo

partners: ## the contract tests' partners beyond Python: Node's jose and golang-jwt, where their tools are
	sh tools/partners.sh

gateways: ## the gateways that the tests put in front of the sidecar, where they can be had
	PYTHON=$(PYTHON) sh tools/gateways.sh
	sh tools/collector.sh

opa: ## an Open Policy Agent for the tests of policies, from the Go module proxy (minutes)
	sh tools/opa.sh

h2spec: ## a conformance suite of HTTP/2, from the Go module proxy
	sh tools/h2spec.sh

kubernetes: $(STAMPS)/venv ## helm and kubectl for the tests of deploy/, where they can be had
	$(BIN)/python tools/kubernetes.py

vectors: ## third-party verdicts for the tests, fetched at pinned commits unless they lie beside the checkout
	-$(PYTHON) tools/vectors.py

test: $(STAMPS)/package $(STAMPS)/test-deps partners gateways h2spec kubernetes ## the whole suite, the README's examples included
	$(BIN)/python -m pytest $(PARALLEL)

test-bare: ## make demo and make test as on a bare Debian, from an archive without git (as root)
	sh tools/bare_machine.sh build/bare demo test

test-spark: $(STAMPS)/package $(STAMPS)/test-deps ## bulk verification on a real Spark; wants Java 17 (openjdk-17-jre-headless)
	java -version
	$(PIP) install --group spark
	$(BIN)/python -m pytest -m spark -n 0 tests/spark

test-keycloak: $(STAMPS)/package $(STAMPS)/test-deps ## a real Keycloak; wants Java 17 (openjdk-17-jre-headless) and maven
	java -version
	$(BIN)/python -m pytest -m keycloak -n 0 tests/keycloak

test-long: $(STAMPS)/package $(STAMPS)/test-deps ## the tests that take minutes
	$(BIN)/python -m pytest -m "long and not spark and not keycloak" --timeout=3600

bench: $(STAMPS)/package $(STAMPS)/test-deps ## measure, and rewrite the tables of docs/benchmarks.md and README
	$(BIN)/python benchmarks/run.py

bench-signing: $(STAMPS)/package $(STAMPS)/test-deps ## signing: local keys, the token endpoint, a queue before a slow HSM
	$(BIN)/python -m pytest -q -n 0 -c benchmarks/pytest.ini benchmarks/test_signing.py
	$(BIN)/python examples/scenarios/hsm/run.py

bench-rotation: $(STAMPS)/package $(STAMPS)/test-deps gateways partners ## rotations under load with foreign consumers, an emergency: SECONDS=600 RATE=2000 VARIANT=plain, killed, fighting, clock or emergency
	RAPIDJWS_ROTATION_S=$(or $(SECONDS),600) RAPIDJWS_ROTATION_RATE=$(or $(RATE),2000) $(BIN)/python -m pytest -q -n 0 \
		-c benchmarks/pytest.ini benchmarks/test_emergency.py benchmarks/test_rotation.py $(if $(VARIANT),-k "$(VARIANT)")

bench-gateways: $(STAMPS)/package $(STAMPS)/test-deps gateways ## the sidecar and the middleware under load
	PYTHON=$(PYTHON) sh tools/system_packages.sh load
	$(BIN)/python benchmarks/gateways.py
	$(BIN)/python benchmarks/open_loop.py

docs: $(STAMPS)/package $(STAMPS)/test-deps $(STAMPS)/docs-deps ## the documentation as a site in build/site; a warning is an error
	$(BIN)/python tools/reference.py --check
	$(BIN)/python tools/issuing_configuration.py --check
	$(BIN)/python tools/troubleshooting.py --check
	$(BIN)/python tools/docs_site.py

lint: $(STAMPS)/package $(STAMPS)/test-deps $(STAMPS)/lint-deps ## ruff, mypy --strict, the C layout, C warnings as errors
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy --strict tools/*.py setup.py native/build.py
	$(BIN)/python tools/c_format.py --check
	$(BIN)/python tools/c_warnings.py

format: $(STAMPS)/lint-deps ## let ruff lay out the Python, clang-format the C
	$(BIN)/ruff format .
	$(BIN)/python tools/c_format.py
	$(BIN)/ruff check --fix .

# --- the same tests under instruments ------------------------------------------------------------

test-sanitize: $(STAMPS)/package $(STAMPS)/test-deps ## ASan and UBSan over native tests and vectors
	$(BIN)/python tools/instrumented.py sanitize $(SANITIZED)

test-valgrind: $(STAMPS)/package $(STAMPS)/test-deps ## memcheck over a bounded part of the suite
	PYTHON=$(PYTHON) sh tools/system_packages.sh memcheck
	$(BIN)/python tools/instrumented.py memcheck build/memcheck

test-tsan: $(STAMPS)/package $(STAMPS)/test-deps ## TSan: key tables swapped under load
	$(BIN)/python tools/instrumented.py tsan $(THREADED)

test-pyjwt: $(STAMPS)/package $(STAMPS)/test-deps ## PyJWT's own suite over rapidjws.compat.pyjwt: how many of its tests agree
	$(BIN)/python tools/pyjwt_suite.py

test-claim-mutants: $(STAMPS)/package $(STAMPS)/test-deps ## a million signed tokens with changed claims, and bodies: no false accept
	RAPIDJWS_CLAIM_MUTANTS=1000000 $(BIN)/python -m pytest $(PARALLEL) tests/property/test_claim_mutants.py

test-dpop-mutants: $(STAMPS)/package ## a million mutants of tokens and their DPoP proofs: no false accept
	$(BIN)/python tools/dpop_mutants.py

test-audit-kills: $(STAMPS)/package $(STAMPS)/test-deps ## kill -9 of worker, sequencer and supervisor, a thousand times under load
	$(BIN)/python -m pytest -s -n 0 -m long tests/integration/test_audit_kills.py

test-audit-flips: $(STAMPS)/package $(STAMPS)/test-deps ## ten thousand single bits flipped in a stored trail: each is found and named
	RAPIDJWS_AUDIT_FLIPS=10000 $(BIN)/python -m pytest -n 0 --timeout=7200 tests/faults/test_audit_flips.py tests/unit/test_audit_archive_bits.py

test-mutants: $(STAMPS)/package $(STAMPS)/test-deps partners ## careless changes, one at a time: the tests must notice 97 of 100
	-PYTHON=$(PYTHON) sh tools/system_packages.sh mutants
	$(BIN)/python tools/mutants.py

# --- what is shipped -----------------------------------------------------------------------------

wheels: $(STAMPS)/package $(STAMPS)/test-deps $(STAMPS)/release-deps ## the abi3 wheel with OpenSSL inside, audited and tried out
	$(BIN)/python tools/wheels.py

release-check: $(STAMPS)/package $(STAMPS)/test-deps $(STAMPS)/release-deps ## all of wheels, then what a release would publish
	$(BIN)/python tools/wheels.py --release-check

clean: ## everything that was made here
	rm -rf build dist wheelhouse .venv .venv-* .pytest_cache .mypy_cache .ruff_cache .hypothesis
	rm -rf src/*.egg-info src/rapidjws/_rapidjws*.so
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
