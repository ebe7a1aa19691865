# make demo       from nothing to a segmented street scene on the sphere
# make test       the tests;  make test-slow: those that kill processes or start several
# make lint       ruff;       make format: apply it;  make docs: the reference as web pages
# PYTHON=python3.12 VENV=.venv312 EXTRA="torch==2.11.*" choose another Python, folder, versions.

PYTHON ?= python3
VENV ?= .venv
EXTRA ?=
BIN := $(VENV)/bin
RUN := runs/demo
WORKERS ?= 2

.PHONY: demo test test-slow lint format docs clean

$(VENV)/.installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed: make PYTHON=python3.12 ..."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable ".[test]" $(EXTRA)
	touch $@

demo: $(VENV)/.installed
	$(BIN)/healswin-prep street data/street --scenes 80 --size 640x484 --seed 1 --workers $(WORKERS)
	$(BIN)/healswin-prep convert --reader synwoodscape --classes large-ad data/street data/street64 \
	  --nside 64 --base-pixels 0-7 --tasks semantic,depth --split train:0.75,val:0.1,test:0.15 \
	  --workers $(WORKERS)
	rm -rf $(RUN)
	$(BIN)/healswin fit --config configs/quickstart.yaml --data.root data/street64 \
	  --trainer.default_root_dir $(RUN)
	$(BIN)/healswin test --ckpt_path $(RUN)/checkpoints/best.ckpt --data.root data/street64
	$(BIN)/healswin predict --ckpt_path $(RUN)/checkpoints/best.ckpt --data.root data/street64
	@echo; grep "^|" $(RUN)/report.md; echo; echo "Report with pictures: $(RUN)/report.md"

test: $(VENV)/.installed
	$(BIN)/python -m pytest -m "not slow"

test-slow: $(VENV)/.installed
	$(BIN)/python -m pytest -m slow

lint: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(VENV)/.installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --editable ".[docs]"
	$(BIN)/mkdocs build --quiet --config-file docs/mkdocs.yml
	@echo "Documentation: build/docs/index.html"

clean:
	rm -rf build $(RUN) data/street data/street64 data/street64.partial .pytest_cache .ruff_cache .hypothesis
