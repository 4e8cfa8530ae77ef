# The tasks of the project. Everything runs on a plain Debian 12 with Rust, make and a C compiler; what else is needed
# is installed by `make tools`.

CARGO ?= cargo
# Rust installed by rustup is not on every PATH.
export PATH := $(HOME)/.cargo/bin:/usr/sbin:$(PATH)
export DEBIAN_FRONTEND := noninteractive

SUDO := $(if $(filter-out 0,$(shell id -u)),sudo -E)
PACKAGES := mariadb-server mariadb-client mariadb-backup galera-4 mariadb-test sysbench haproxy rsync socat lsof procps iproute2 openssl python3-pymysql chromium prometheus
# What the drivers of tests/drivers are run and built with.
DRIVERS_PACKAGES := python3-venv python3-dev libmariadb-dev gcc pkg-config php-cli php-mysql libmariadb-java openjdk-17-jdk-headless
# MariaDB 11.8 is Debian 13's. The tests of TRIED run before its servers, too.
NEWER_PACKAGES := mariadb-server,mariadb-client,mariadb-backup,galera-4,rsync,socat,lsof,procps,iproute2
TRIED := $(addprefix --test ,split causal marker versions loss outcome replay link_tls)
INSTALLED = dpkg-query --show --showformat '$${db:Status-Status}\n' $(PACKAGES) 2>&1

.PHONY: all build deb test lint deny tools drivers-tools drivers-packages conformance newer mmdebstrap clean-host history outlive sim planted demo bench fuzz seeds clean

all: build

build:
	$(CARGO) build --release

# A package for this Debian: target/oarlock_*.deb.
deb: build
	@config/debian/build target/release/oarlock target

test: tools lint deny
	$(CARGO) test

lint:
	$(CARGO) fmt --check
	$(CARGO) fmt --check --manifest-path fuzz/Cargo.toml
	$(CARGO) clippy --all-targets -- -D warnings
	$(CARGO) clippy --test newer -- -D warnings

# Building cargo-deny takes longer than all tests, so it's used where it is. Advisories need a network, so they are not part of this.
deny:
	@if $(CARGO) deny --version >/dev/null 2>&1; then $(CARGO) deny check bans licenses sources; \
	else echo "cargo-deny is not here: licences and sources of dependencies not checked (cargo install --locked cargo-deny)"; fi

# Everything that other people's clients expect, of which `make test` runs a part; takes long and needs the network once.
conformance: tools drivers-tools target/schemathesis/installed clean-host newer
	OARLOCK_SUITE=whole OARLOCK_DRIVERS=all $(CARGO) test --test suite --test drivers -- --nocapture
	SCHEMATHESIS=$(CURDIR)/target/schemathesis/bin/st $(CARGO) test --test admin_api -- --nocapture

# MariaDB 11.8: its client and its replica beside this system's servers, and its servers.
newer: tools target/newer/installed
	$(CARGO) test --no-run --test newer $(TRIED)
	$(SUDO) env PATH="$$PATH" NEWER=$(CURDIR)/target/newer $(CARGO) test --test newer -- --nocapture
	$(SUDO) env PATH="$$PATH" OARLOCK_USERLAND=$(CURDIR)/target/newer $(CARGO) test $(TRIED)

# The package on a Debian that has nothing else.
clean-host: deb mmdebstrap
	$(SUDO) config/debian/try target/oarlock_*.deb

# Many clients while nodes are killed, frozen and cut off: was all true that they were told? A short run is part of `make test`.
MINUTES ?= 10
SEED ?=

history: tools
	MINUTES=$(MINUTES) $(if $(SEED),SEED=$(SEED)) $(CARGO) test --test history -- --nocapture

# What clients notice of lost nodes and of storms, beside writers that are connected to a node directly.
ROUNDS ?= 10

outlive: tools
	ROUNDS=$(ROUNDS) $(CARGO) bench --bench outlive

# The same of sessions in virtual time, before modelled nodes. A failing seed is printed; with SEEDS=1 SEED=n all of it is.
SEEDS ?= 200000

sim:
	SEEDS=$(SEEDS) $(if $(SEED),SEED=$(SEED)) $(CARGO) test --release --test sim -- --nocapture

# Plants faults in a copy of the machine, one at a time, and has the simulator find each.
planted:
	tests/sim/plant

# The demo's last line says how it went. SITES=galera: the other site is a cluster of three, too, not a standalone server.
demo: tools
	@$(CARGO) build --release --quiet --bin oarlock --example demo
	@target/release/examples/demo $(if $(SITES),--sites=$(SITES)) $(if $(STAY),--stay)

bench: tools
	$(CARGO) bench

# How long each target runs, in seconds.
SECONDS ?= 60

fuzz:
	@$(CARGO) fuzz --version >/dev/null 2>&1 || $(CARGO) install cargo-fuzz --locked
	@fuzz/run $(SECONDS)

seeds: tools
	$(CARGO) run --example record

# Where services run, a newly installed package starts a server of its own, which nothing here uses. One that was there stays.
tools:
	@if $(INSTALLED) | grep -qvx installed; then \
	    new=$$(for name in mariadb-server prometheus; do dpkg-query --show $$name >/dev/null 2>&1 || echo $${name%-server}; done); \
	    $(SUDO) apt-get update -qq && $(SUDO) apt-get install -y -qq --no-install-recommends $(PACKAGES) >/dev/null; \
	    if [ -n "$$new" ] && [ -d /run/systemd/system ]; then $(SUDO) systemctl disable --quiet --now $$new; fi; \
	fi

# Node.js is taken as it is: 20 or later.
drivers-tools: drivers-packages target/drivers/python/installed target/drivers/node/installed

drivers-packages:
	@if dpkg-query --show --showformat '$${db:Status-Status}\n' $(DRIVERS_PACKAGES) 2>&1 | grep -qvx installed; then \
	    $(SUDO) apt-get update -qq && $(SUDO) apt-get install -y -qq --no-install-recommends $(DRIVERS_PACKAGES) >/dev/null; \
	fi

target/drivers/python/installed: tests/drivers/scripts/requirements.txt | drivers-packages
	/usr/bin/python3 -m venv target/drivers/python
	target/drivers/python/bin/pip install --quiet --requirement $<
	@touch $@

target/drivers/node/installed: tests/drivers/scripts/package.json tests/drivers/scripts/package-lock.json
	@mkdir -p $(@D) && cp $^ $(@D)
	cd $(@D) && npm ci --silent --no-audit --no-fund
	@touch $@

mmdebstrap:
	@dpkg-query --show mmdebstrap systemd >/dev/null 2>&1 || \
	    { $(SUDO) apt-get update -qq && $(SUDO) apt-get install -y -qq --no-install-recommends mmdebstrap systemd >/dev/null; }

# What a run that was broken off has left goes first.
target/newer/installed: | mmdebstrap
	$(SUDO) rm -rf $(@D)
	$(SUDO) mmdebstrap --quiet --variant=minbase --include=$(NEWER_PACKAGES) trixie $(@D) http://deb.debian.org/debian
	$(SUDO) touch $@

target/schemathesis/installed: | drivers-packages
	/usr/bin/python3 -m venv target/schemathesis
	target/schemathesis/bin/pip install --quiet schemathesis==4.32.5
	@touch $@

clean:
	$(CARGO) clean
