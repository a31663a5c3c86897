# Two commands do everything: make compare, make test.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CODE := src tests docs/*.py docs/making docs/gallery
PIP := $(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: compare test coverage lint format lock fuzz docs links picture dist sbom vulnerabilities release-check clean

compare: $(VENV)/.core
	$(BIN)/losscope compare

test: $(VENV)/.test lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --doctest-modules tests src

# The share of lines that the tests run, in per cent. The site is built by another process, which is not counted.
coverage: $(VENV)/.test
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --cov=losscope --cov-report= \
		--deselect tests/test_site.py::test_the_site_is_built_without_a_warning tests
	$(BIN)/coverage report --format=total

lint: $(VENV)/.test
	$(BIN)/ruff check $(CODE)
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/lint-imports
	$(BIN)/mypy

format: $(VENV)/.test
	$(BIN)/ruff check --fix $(CODE)
	$(BIN)/ruff format $(CODE)

# The lock pins torch: the same pin takes the CPU build where only that is offered.
lock:
	uv pip compile pyproject.toml --all-extras --universal -c torch-pin.txt -o constraints.txt

# Damaged files for every reader, MINUTES of them; findings are kept in fuzz-findings.
MINUTES ?= 5
fuzz: $(VENV)/.test
	OMP_NUM_THREADS=1 $(BIN)/python tests/fuzz.py --minutes $(MINUTES)

# The documentation as a site, docs/_build/html/index.html: warnings are errors, nothing is fetched.
docs: $(VENV)/.docs
	OMP_NUM_THREADS=1 $(BIN)/sphinx-build -q -W --keep-going -b html -d docs/_build/doctrees docs docs/_build/html
	@echo "The site: docs/_build/html/index.html"

# The links of the documentation to other sites, by the network; its own are checked by each build of the site.
links: $(VENV)/.docs
	$(BIN)/sphinx-build -q -b linkcheck -d docs/_build/doctrees docs docs/_build/links

# The picture of README, light and dark: the first screen of a study that is there, by Chromium.
STUDY ?= losscope-runs
picture: $(VENV)/.core
	$(BIN)/python docs/picture.py $(STUDY)

dist: $(VENV)/.release
	rm -rf dist && $(BIN)/python -m build --outdir dist && $(BIN)/twine check --strict dist/*

sbom: $(VENV)/.release
	$(BIN)/cyclonedx-py environment $(BIN)/python --output-file sbom.json

vulnerabilities: $(VENV)/.release
	$(BIN)/pip-audit --requirement constraints.txt --no-deps --disable-pip

release-check:
	grep -q '^version = "$(VERSION)"$$' pyproject.toml
	grep -q '__version__ = "$(VERSION)"' src/losscope/__init__.py
	grep -q '^## $(VERSION)$$' CHANGELOG.md

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.core: $(VENV)/bin/python pyproject.toml constraints.txt
	$(PIP) -e .
	touch $@

$(VENV)/.test: $(VENV)/bin/python pyproject.toml constraints.txt
	$(PIP) -e '.[test,docs,hf,audio,hdf5,dask,peers,lightning,tensorboard,mlflow,wandb,labels]'
	touch $@ $(VENV)/.core $(VENV)/.docs

$(VENV)/.docs: $(VENV)/.core
	$(PIP) -e '.[docs]'
	touch $@

$(VENV)/.release: $(VENV)/.test
	$(PIP) -e '.[release]'
	touch $@

clean:
	rm -rf $(VENV) losscope-runs docs/_build docs/generated
