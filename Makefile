# Every target sets up .venv first if it is missing or out of date.
#
#   PYTHON=python3.12         the interpreter for .venv (3.11 or newer)
#   TORCH_INDEX=URL           the package index for torch when .venv is made, for instance
#                             https://download.pytorch.org/whl/cpu    (no GPU: 200 MB, not GBs)
#                             https://download.pytorch.org/whl/cu130  (CUDA; or cu126, cu132)
#                             default: PyPI's build of constraints.txt's version
#   PHOTOS=~/Pictures         your own photos for `make demo`
#   GROUP=bulk                one group of `make test-slow`: training, bulk, retraining, nodes, hosts,
#                             hosts-bulk, studies, images, image, parts
#   IMAGE_CACHE=FOLDER        where GROUP=image builds (12 GB), and keeps wheels and a Debian for its
#                             next run; default: ~/.cache/srgan-image
#   TRAIN= EVAL=              inputs of `make bench-quality`: a folder of training photos, and one with
#                             Set5 and Set14. Further ones are optional:
#   WEIGHTS=squeezenet1_1=F   weights of perceptual networks that no installed package has
#   MINUTES=10                minutes of each training; default: the recipes' steps
#   START=FILE                a generator that all GANs start from; default: the network `fast`
#   ONLY="srgan alone"        trains only networks whose names begin so
#   EXTRA="TITLE=FILE ..."    generator files as further rows; TAUGHT="TITLE=NETWORK ..." names their
#                             teachers. The shipped generators are rows by themselves
#   SEEDS=3 HELD_OUT=30       number of seeds, and of photos for choices
#   PLANES="niqe ..."         judges to draw PSNR against
#   OUT= PAGE= STRIPS=        folder of trainings, the page, photos for pictures
#   OPENING=FILE THREADS=1    Markdown with the page's own title and opening; threads of torch

PYTHON ?= python3
TORCH_INDEX ?=
PHOTOS ?=

VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: install demo test test-integration test-slow lint docs format sbom audit bench bench-quality bench-training bench-upscale clean

install: $(INSTALLED)

demo: $(INSTALLED)
	@$(BIN)/srgan demo $(if $(PHOTOS),--photos "$(PHOTOS)")

# Compiled files are kept, whatever the shell says: the tests start many processes.
test test-integration: export PYTHONDONTWRITEBYTECODE =
test: $(INSTALLED)
	$(BIN)/python -m pytest -n 2 -m "not slow and not integration"

# One process has the whole stack, the other Prefect and MLflow.
test-integration: $(INSTALLED)
	$(BIN)/python -m pytest -n 2 -m "not slow and integration"

test-slow: $(INSTALLED)
	$(BIN)/python -m pytest -m "slow$(if $(GROUP),(group='$(GROUP)'))"

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/vulture
	$(BIN)/python -m pytest -q -p no:xdist tests/test_house.py tests/test_words.py

format: $(INSTALLED)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The site, in .srgan/site; a link or an anchor that leads nowhere is an error.
docs: $(INSTALLED)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet
	@echo "open .srgan/site/index.html"

# Parts of .venv and their licences, in .srgan/sbom; infra/sbom.sh does the same in the image.
sbom: $(INSTALLED)
	infra/sbom.sh $(BIN)/python .srgan/sbom

# Asks PyPI for known vulnerabilities of the versions in constraints.txt; needs the internet.
audit: $(INSTALLED)
	$(PYTHON) -m venv $(VENV)/audit
	$(VENV)/audit/bin/python -m pip install -q -r infra/audit.txt
	$(VENV)/audit/bin/pip-audit --requirement constraints.txt --no-deps --disable-pip --strict

# Training only: steps, loader, ranks. Needs a quiet machine.
bench-training: $(INSTALLED)
	@$(BIN)/python -m benchmarks.training

# One script per claim in docs/benchmarks.md.
bench: bench-training
	@for script in $(filter-out benchmarks/digests.py,$(wildcard benchmarks/*.py)); do \
		echo "== $$script"; $(BIN)/python "$$script" || exit 1; \
	done

# MODEL= (weights of an SRResNet 16×64) and SET14= (a folder of LR photos) add the quality of lower precision.
bench-upscale: $(INSTALLED)
	$(BIN)/python -m benchmarks.upscale $(if $(MODEL),--model "$(MODEL)") \
		$(if $(SET14),--set14 "$(SET14)")

# Takes hours; a second call continues where the first was stopped.
OUT ?= .srgan/quality
SHIPPED := srgan/models/shipped
ROWS := $(if $(wildcard $(SHIPPED)/x4.safetensors),shipped=$(SHIPPED)/x4.safetensors)
ROWS += $(if $(wildcard $(SHIPPED)/x4_sharp.safetensors),shipped:sharp=$(SHIPPED)/x4_sharp.safetensors)
bench-quality: $(INSTALLED)
	@[ -n "$(TRAIN)" ] && [ -n "$(EVAL)" ] || { \
		echo "make bench-quality TRAIN=PHOTOS EVAL=FOLDER_OF_SETS"; exit 1; }
	$(BIN)/python -m benchmarks.quality --train "$(TRAIN)" --eval "$(EVAL)" --out "$(OUT)" \
		$(foreach each,$(WEIGHTS),--weights "$(each)") $(foreach each,$(ROWS) $(EXTRA),--extra "$(each)") \
		$(if $(filter shipped:sharp=%,$(ROWS)),--taught shipped:sharp=efficientnet_lite0) \
		$(foreach each,$(TAUGHT),--taught "$(each)") $(if $(ONLY),--only $(ONLY)) \
		$(if $(MINUTES),--minutes $(MINUTES)) $(if $(START),--start "$(START)") \
		$(if $(SEEDS),--seeds $(SEEDS)) $(if $(HELD_OUT),--held-out $(HELD_OUT)) \
		$(if $(PAGE),--page "$(PAGE)") $(if $(STRIPS),--strips "$(STRIPS)") \
		$(if $(PLANES),--planes $(PLANES)) $(if $(OPENING),--opening "$(OPENING)") \
		$(if $(THREADS),--threads $(THREADS))

# Keeps .srgan: its data, models and credentials are yours.
clean:
	@if [ -x $(BIN)/srgan ]; then $(BIN)/srgan stack down; fi
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache \
		.import_linter_cache .hypothesis .coverage
	find srgan flows tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
	@if [ -d .srgan ]; then echo "kept .srgan (data, models, credentials); rm -rf it yourself"; fi

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "$(PYTHON) is missing or older than Python 3.11: make $(MAKECMDGOALS) PYTHON=python3.11"; \
		exit 1; }
	@[ -x $(BIN)/python ] || { echo "making $(VENV)"; $(PYTHON) -m venv $(VENV); }
	@echo "installing (minutes the first time)"
	@$(if $(TORCH_INDEX),$(BIN)/python -m pip install -q --index-url $(TORCH_INDEX) "torch==$$(sed -n 's/^torch==//p' constraints.txt)")
	@$(BIN)/python -m pip install -q -c constraints.txt -e '.[demo,dev]'
	@touch $@
