# Everything that is done with Breadbox outside of it. `make` alone lists the targets.
#
# A machine with Rust and make is enough: `setup` installs what else is needed where Debian's packages are.

CARGO  ?= cargo
CONFIG ?= proxy.yaml
IMAGE  ?= breadbox

# What a build needs besides Rust and make: a linker, and cmake for zlib-ng.
BUILD_TOOLS    := cc cmake
BUILD_PACKAGES := gcc libc6-dev cmake
BENCH_PACKAGES := nginx-light wrk varnish haproxy trafficserver nghttp2-client valgrind
PROFILE_PACKAGES := linux-perf wrk valgrind binutils python3 util-linux
DJANGO_PACKAGES := python3 python3-venv wrk

# Tools that Debian does not have, from crates.io.
TOOLS    := target/tools
INFERNO  := 0.12.4
BACKENDS := target/backends
BACKEND  ?= django next

.DEFAULT_GOAL := help
.PHONY: help setup setup-bench setup-browser setup-backends demo run build test torture check format lint docs benches bench profile backends prometheus handover docker

help: ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 24

setup: ## Install what a build needs and this machine lacks
	@tests/install $(BUILD_TOOLS) -- $(BUILD_PACKAGES)

setup-bench: setup
	@tests/install nginx wrk varnishd haproxy traffic_server h2load valgrind -- $(BENCH_PACKAGES)

# Chromium and its driver from Debian, axe-core from npm.
setup-browser: setup
	@tests/browser/setup

demo: build ## Breadbox in front of a built-in shop, on http://127.0.0.1:8080
	target/release/breadbox demo

run: build ## Breadbox as CONFIG says (default proxy.yaml)
	target/release/breadbox run --config $(CONFIG)

build: setup ## The release binary, target/release/breadbox
	$(CARGO) build --release --locked

test: setup setup-browser ## Every test
	$(CARGO) test --locked --doc
	@if $(CARGO) nextest --version >/dev/null 2>&1; then \
		set -x; $(CARGO) nextest run --locked --no-fail-fast; \
	else \
		set -x; $(CARGO) test --locked --no-fail-fast --lib --bins --tests; \
	fi

torture: setup ## Kill it a hundred times in the middle of writes and purges (TORTURE_KILLS)
	TORTURE_KILLS=$${TORTURE_KILLS:-100} $(CARGO) test --locked --test scenarios kills_at_random_moments

check: setup format lint docs benches test ## What has to pass before a change is taken

format:
	$(CARGO) fmt --check

lint: setup
	$(CARGO) clippy --locked --all-targets -- -D warnings

docs: setup
	RUSTDOCFLAGS="-D warnings -A rustdoc::private-intra-doc-links" $(CARGO) doc --locked --no-deps --document-private-items

benches: setup
	$(CARGO) build --locked --benches

# CASES=hot,tls runs these alone, QUICK=1 for a few seconds each, SERVERS=nginx beside this one only.
bench: setup-bench ## Measure against nginx, Varnish, HAProxy and ATS, side by side (CASES=hot,tls QUICK=1 for a look)
ifdef CASES
	$(CARGO) bench --locked --bench side_by_side -- $(CASES)
else
	$(CARGO) bench --locked
endif

profile: build $(TOOLS)/bin/inferno-flamegraph ## A flame graph of a hit, and its instructions, in target/profile
	@tests/install perf wrk valgrind objdump python3 taskset -- $(PROFILE_PACKAGES)
	@mkdir -p target/profile
	@PATH="$(CURDIR)/$(TOOLS)/bin:$$PATH" benches/profile/run.py target/release/breadbox target/profile >target/profile/hit.md
	@cat target/profile/hit.md

$(TOOLS)/bin/inferno-flamegraph:
	$(CARGO) install --quiet --locked --root $(TOOLS) --version $(INFERNO) inferno

# The applications are real; their frameworks come from PyPI and npm, and everything lands below target/backends.
backends: setup setup-backends ## Run in front of Django and Next.js (BACKEND=django for one of them)
	$(CARGO) build --locked
	tests/backends/run.py target/debug/breadbox $(BACKEND)

setup-backends: $(addprefix $(BACKENDS)/,$(addsuffix .ready,$(BACKEND)))

$(BACKENDS)/django.ready: tests/backends/django/requirements.txt
	@tests/install python3 wrk -- $(DJANGO_PACKAGES)
	@mkdir -p $(BACKENDS)
	python3 -m venv $(BACKENDS)/venv
	$(BACKENDS)/venv/bin/pip install --quiet --disable-pip-version-check -r $<
	@touch $@

$(BACKENDS)/next.ready: $(shell find tests/backends/next -type f)
	@node -e 'const [a, b] = process.versions.node.split("."); process.exit(a > 20 || (a == 20 && b >= 9) ? 0 : 1)' || \
		{ echo "Next.js needs Node.js 20.9 or newer, with npm; \`make backends BACKEND=django\` does without" >&2; exit 1; }
	@mkdir -p $(BACKENDS)/next
	cp -R tests/backends/next/. $(BACKENDS)/next
	cd $(BACKENDS)/next && npm install --no-package-lock && NEXT_TELEMETRY_DISABLED=1 npm run build
	@touch $@

prometheus: setup ## Check the Prometheus files, against a real Prometheus that scrapes a running Breadbox
	@tests/install prometheus promtool python3 -- prometheus python3
	$(CARGO) build --locked
	tests/prometheus/run.py target/debug/breadbox

handover: setup ## Reload and upgrade twenty times under wrk and h2load; no request may fail
	@tests/install wrk h2load curl python3 -- wrk nghttp2-client curl python3
	$(CARGO) build --locked
	tests/handover/run.py target/debug/breadbox

docker: ## The container image, IMAGE (default breadbox)
	docker build --tag $(IMAGE) .
