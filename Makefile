# Everything starts with `make install`, which needs nothing but Python 3.11 or newer.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
MODELS := .venv-models
CLUSTER := .venv-cluster
SERVERS := .venv-servers
PIP := $(BIN)/python -m pip --disable-pip-version-check
STAMP := $(VENV)/.installed
ARGS ?=
# What test-over runs over.
OVER ?= ray postgres s3
# What it runs: what a store, a worker or a storage has a part in, once for each way that it has. ARGS=tests/e2e runs all.
OVER_TESTS := $(addprefix tests/e2e/test_,$(addsuffix .py,images jobs jobs_taken_up keys speech tts voices_api))

.PHONY: serve install test test-indextts test-diffusion test-cluster test-over check lint types format bench bench-kokoro bench-reliability bench-cluster bench-indextts bench-nodes bench-parts bench-servers soak wheel wheel-check api-docs clean help

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

serve: install ## start the server; make serve ARGS="--port 7861"
	$(BIN)/antiphon serve $(ARGS)

install: $(STAMP) ## make .venv with the versions of constraints.txt

$(STAMP): pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Antiphon needs Python 3.11 or newer; run make PYTHON=python3.11"; exit 1; }
	$(PIP) install --quiet --upgrade pip
	$(PIP) install --quiet --constraint constraints.txt --editable '.[kokoro,piper,dev]'
	@touch $@

# Where it is set, each of hundreds of workers would compile every module, and each run of pytest every test.
unexport PYTHONDONTWRITEBYTECODE

# In the order of their names the files that start servers come first, and those of a few seconds fill the end. By default
# those with the most tests come first, and the last ones leave a core idle.
EVENLY = -n 2 --dist loadfile --no-loadscope-reorder

test: install ## all tests, on two cores; the first run fetches the files of Kokoro and Whisper (270 MB)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(EVENLY) -m "not alone" $(ARGS)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m alone $(or $(ARGS),$$(grep -rl --include='test_*.py' mark.alone tests))

$(MODELS)/.installed: pyproject.toml constraints-models.txt
	$(PYTHON) -m venv $(MODELS)
	$(MODELS)/bin/python -m pip --disable-pip-version-check install --quiet --constraint constraints-models.txt \
		torch munch sentencepiece --editable '.[indextts25,pocket,diffusion,dev]'
	@# Beside the others: torchaudio asks for the torch of its own day, and without CUDA whoever imports it fails.
	$(MODELS)/bin/python -m pip --disable-pip-version-check install --quiet --constraint constraints-models.txt \
		--no-deps --target $(MODELS)/second indextts2-inference torchaudio
	@# It carries the weights that examples/terrain draws with; what it says it needs is not what it needs.
	$(MODELS)/bin/python -m pip --disable-pip-version-check install --quiet --no-deps adaptive-terrain-diffusion==0.4.2
	@touch $@

test-indextts: $(MODELS)/.installed ## the tests of IndexTTS and Pocket TTS on small random checkpoints; installs torch (a gigabyte)
	OMP_NUM_THREADS=1 PYTHONPATH=$(CURDIR)/$(MODELS)/second \
		$(MODELS)/bin/python -m pytest -n 2 --dist loadfile -W default --timeout 400 tests/indextts tests/pocket $(ARGS)

test-diffusion: $(MODELS)/.installed ## the tests of image models on a small random pipeline; installs torch
	OMP_NUM_THREADS=1 $(MODELS)/bin/python -m pytest -W default tests/models $(ARGS)

$(CLUSTER)/.installed: pyproject.toml constraints-cluster.txt
	$(PYTHON) -m venv $(CLUSTER)
	$(CLUSTER)/bin/python -m pip --disable-pip-version-check install --quiet --constraint constraints-cluster.txt \
		--editable '.[kokoro,ray,postgres,s3,dev]' 'moto[server]'
	@touch $@

test-cluster: $(CLUSTER)/.installed ## the tests of several servers and many machines; needs Debian's postgresql and, as root, iproute2
	OMP_NUM_THREADS=1 $(CLUSTER)/bin/python -m pytest -n 2 --dist loadfile tests/cluster $(ARGS)

test-over: $(CLUSTER)/.installed ## end-to-end tests over other parts; make test-over OVER=ray ARGS=tests/e2e/test_jobs.py
	OMP_NUM_THREADS=1 $(CLUSTER)/bin/python -m pytest -p tests.cluster.over $(addprefix --over=,$(OVER)) -rs \
		-n 2 --dist loadfile -m "not alone and not models" $(or $(ARGS),$(OVER_TESTS))

check: lint types ## style, layers, retired names, types

lint: install ## style, layers, retired names
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache
	$(BIN)/python scripts/check-names

types: install
	$(BIN)/mypy

format: install ## rewrite the files in the house style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: install ## the table of benchmarks/README.md, measured here
	$(BIN)/python -m benchmarks $(ARGS)

bench-kokoro: install ## processor time, quality, first sound, memory and workers of Kokoro; make bench-kokoro ARGS="processor first"
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.kokoro $(ARGS)

bench-reliability: install ## kills at full size; minutes, prints its seed
	$(BIN)/python -m benchmarks.reliability $(ARGS)

bench-cluster: $(CLUSTER)/.installed ## everything of a cluster is killed while 500 jobs come in; prints its seed
	$(CLUSTER)/bin/python -m benchmarks.reliability.cluster $(ARGS)

bench-indextts: $(MODELS)/.installed ## what batching gains for IndexTTS; make bench-indextts ARGS="--size real --stage codes --json"
	@OMP_NUM_THREADS=1 PYTHONPATH=$(CURDIR)/$(MODELS)/second $(MODELS)/bin/python -m benchmarks.indextts $(ARGS)

$(SERVERS)/.installed: pyproject.toml constraints-cluster.txt
	$(PYTHON) -m venv $(SERVERS)
	$(SERVERS)/bin/python -m pip --disable-pip-version-check install --quiet --constraint constraints-cluster.txt \
		--editable '.[kokoro,dev]' 'ray[serve]' litserve
	@touch $@

bench-servers: install $(SERVERS)/.installed ## Kokoro through Antiphon, Ray Serve and LitServe
	ANTIPHON_BENCH_SERVERS=$(SERVERS)/bin/python $(BIN)/python -m benchmarks kokoro-servers

bench-nodes: $(CLUSTER)/.installed ## throughput on one, two and four nodes of a Ray cluster
	$(CLUSTER)/bin/python -m benchmarks.bench_cluster $(ARGS)

bench-parts: $(CLUSTER)/.installed ## what PostgreSQL, object storage and Ray cost one server
	$(CLUSTER)/bin/python -m benchmarks.bench_parts $(ARGS)

soak: install ## 20,000 jobs through one server: fails if memory, files, threads or tasks grow
	$(BIN)/python -m benchmarks.reliability soak --scale 0.2

wheel: install ## dist/antiphon-….whl
	$(PIP) install --quiet "hatchling>=1.27"
	$(BIN)/python -m hatchling build --target wheel

wheel-check: install ## the wheel with its own dependencies, in a fresh environment, serves and speaks
	PYTHON=$(PYTHON) scripts/wheel-check

api-docs: install ## docs/api.md and the table of docs/tuning.md, made from the code
	$(BIN)/python scripts/api-docs

clean: ## remove what was built, not what was downloaded
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
