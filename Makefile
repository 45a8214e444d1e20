# `make demo` shows ctid at work on a real Asterisk; `make test` runs everything. Both set up what they need.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin
READY := $(VENV)/.ready
SYSTEM := $(VENV)/.system
OIDC := $(VENV)/.oidc
export PYTHONPATH := hardware-lab

# The pure rooms: every branch of them is taken by the unit and property tests.
DRIVER := drivers/ctid_asterisk
PURE := ctid/model/*,ctid/state/*,$(DRIVER)/wire.py,$(DRIVER)/session.py,$(DRIVER)/outs.py,$(DRIVER)/filters.py
PURE := $(PURE),$(DRIVER)/actions.py,$(DRIVER)/normalize.py,$(DRIVER)/resync.py,$(DRIVER)/channels.py
PURE := $(PURE),$(DRIVER)/lists.py,$(DRIVER)/members.py,$(DRIVER)/fields.py,$(DRIVER)/sessions.py
PURE := $(PURE),ctid/agents/reasons.py,ctid/agents/policy.py,ctid/agents/plan.py,ctid/agents/enforcement.py
PURE := $(PURE),$(DRIVER)/compare.py,$(DRIVER)/mend.py,$(DRIVER)/roster.py,$(DRIVER)/versions.py
PURE := $(PURE),$(DRIVER)/queue_log.py,ctid/history/entries.py,ctid/history/match.py,ctid/history/words.py
PURE := $(PURE),ctid/history/aliases.py,ctid/history/align.py,ctid/history/lines.py
PURE := $(PURE),$(DRIVER)/scrub.py,$(DRIVER)/scrub_fields.py,$(DRIVER)/replaying.py
PURE := $(PURE),$(DRIVER)/told.py,$(DRIVER)/channel.py,$(DRIVER)/channel_events.py,$(DRIVER)/queue_events.py
PURE := $(PURE),$(DRIVER)/call_events.py,$(DRIVER)/device_events.py,$(DRIVER)/departures.py,$(DRIVER)/contacts.py
PURE := $(PURE),ctid/rates.py,ctid/events/*,ctid/publish/packets.py,ctid/publish/reading.py,ctid/publish/wire.py
PURE := $(PURE),ctid/publish/dressing.py,ctid/publish/protocol.py,ctid/publish/access.py
PURE := $(PURE),ctid/api/audience.py,ctid/api/stream.py,ctid/api/tags.py,ctid/api/conditional.py
PURE := $(PURE),ctid/api/origins.py,ctid/api/proxies.py
PURE := $(PURE),$(DRIVER)/quality.py,$(DRIVER)/rtcp.py,$(DRIVER)/halves.py,$(DRIVER)/spying.py
PURE := $(PURE),ctid/audit/chain.py,ctid/audit/verifying.py,ctid/audit/entries.py,ctid/audit/export.py
PURE := $(PURE),$(DRIVER)/monitoring_events.py
PURE := $(PURE),ctid/supervision/rights.py,ctid/supervision/periods.py,ctid/supervision/tally.py
PURE := $(PURE),ctid/supervision/law.py,ctid/supervision/gate.py,ctid/supervision/draw.py
PURE := $(PURE),ctid/supervision/published.py,ctid/supervision/record.py
PURE := $(PURE),ctid/calls/words.py,ctid/calls/policy.py,ctid/calls/plan.py,$(DRIVER)/act_events.py,$(DRIVER)/queue_places.py
PURE := $(PURE),ctid/identity/scopes.py,ctid/identity/lockout.py,ctid/identity/records.py
PURE := $(PURE),ctid/identity/claims.py,ctid/identity/directory.py
PURE := $(PURE),ctid/help/rules.py,ctid/coaching/sheets.py
PURE := $(PURE),ctid/supervision/follow.py,ctid/supervision/lead.py,ctid/supervision/target.py
PURE := $(PURE),ctid/client/opening.py,ctid/client/structs.py,ctid/client/errors.py,ctid/client/patience.py
PURE := $(PURE),ctid/client/following.py,ctid/client/mirror.py
PURE := $(PURE),ctid/cli/values.py
PURE := $(PURE),ctid/webhooks/signing.py,ctid/webhooks/matching.py,ctid/webhooks/verdict.py,ctid/webhooks/line.py
PURE := $(PURE),ctid/webhooks/popping.py,ctid/webhooks/sorting.py,ctid/webhooks/letters.py,ctid/webhooks/words.py
PURE_FLOOR := 100

.PHONY: help demo test check unit e2e test-asterisk16 soak fuzz fuzz-api schemas captures examples client bench lab-up lab-down format lock clean

help:  ## this list
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-15s %s\n", $$1, $$2}'

demo: $(READY) $(SYSTEM)  ## a real Asterisk with calls going on, and ctid beside it (MINUTES=10)
	@$(RUN)/python -m lab demo --minutes $(or $(MINUTES),10)

test: check e2e  ## everything: check, then the suites on the real Asterisk, broker and phones

check: $(READY)  ## format, lint, types, import rules, unit tests: under a minute
	@$(RUN)/ruff format --check --quiet . || { echo 'run `make format`'; exit 1; }
	$(RUN)/ruff check --quiet .
	$(RUN)/lint-imports --no-cache 2>/dev/null | tail -n 3
	$(RUN)/mypy
	$(RUN)/pytest tests -m 'not lab' -q -n auto --dist worksteal --cov --cov-report= $(PYTEST)
	@$(RUN)/coverage report --include='$(PURE)' --fail-under=$(PURE_FLOOR)

unit: $(READY)  ## the unit tests alone
	$(RUN)/pytest tests -m 'not lab' -q $(PYTEST)

e2e: $(READY) $(SYSTEM) $(OIDC)  ## the suites on the real Asterisk, broker and phones alone
	$(RUN)/pytest tests -m lab -q $(PYTEST)

test-asterisk16: $(READY) $(SYSTEM)  ## the same suites on Asterisk 16, of Debian bullseye (docs/asterisk-versions.md)
	@$(RUN)/python -m lab root >/dev/null && $(RUN)/python -m lab root --suite bullseye >/dev/null
	CTID_LAB_SUITE=bullseye $(RUN)/pytest tests -m lab -q $(PYTEST)

soak: $(READY) $(SYSTEM)  ## many random calls, ctid cut off and killed meanwhile, against the PBX's books (CALLS=500 SEED=any)
	CTID_SOAK_CALLS=$(or $(CALLS),500) CTID_SOAK_SEED=$(SEED) $(RUN)/pytest tests/e2e/test_soak.py -m lab -q -s $(PYTEST)

fuzz: $(READY)  ## mutated frames into the driver and the state (FRAMES=100000 SEED=any WIRES=a folder of more)
	PYTHONHASHSEED=0 PYTHONPATH=$(CURDIR):$(CURDIR)/drivers:$(CURDIR)/tests $(RUN)/python -m fuzz.fuzz --frames $(or $(FRAMES),100000) \
		$(and $(SEED),--seed $(SEED)) $(and $(ROUND),--round $(ROUND)) $(and $(WIRES),--wires $(WIRES))

schemas: $(READY)  ## publish the schemas and the API as they are now, unless that would break somebody (docs/compatibility.md)
	@PYTHONPATH=$(CURDIR):$(CURDIR)/drivers:$(CURDIR)/tests $(RUN)/python -m published.files

fuzz-api: $(READY)  ## mutated requests over HTTP, WebSocket and the bus's commands to a served floor (COUNT=50000 SEED=any)
	PYTHONPATH=$(CURDIR)/hardware-lab:$(CURDIR)/drivers:$(CURDIR)/tests $(RUN)/python -m fuzz.api --count $(or $(COUNT),50000) $(and $(SEED),--seed $(SEED))

captures: $(READY) $(SYSTEM)  ## record the scenarios anew on the real Asterisk, with what they tell
	rm -f tests/replay/scenarios/*
	CTID_RECORD=$(CURDIR)/tests/replay/scenarios $(RUN)/pytest tests/e2e/test_scenarios_*.py -q

client: $(READY)  ## write the Python client's structs and methods anew, from the table of operations
	$(RUN)/python -m generate.client

examples: $(READY)  ## the examples of the OpenAPI document anew, from what the served floor answers
	PYTHONPATH=$(CURDIR)/hardware-lab:$(CURDIR)/drivers:$(CURDIR)/tests $(RUN)/python -m api.examples

bench: $(READY) $(SYSTEM)  ## what is claimed, measured side by side
	$(RUN)/python -m bench

lab-up: $(READY) $(SYSTEM)  ## the rig without calls and without phones, in the background
	@$(RUN)/python -m lab up

lab-down: $(READY)  ## end all of it
	@$(RUN)/python -m lab down

format: $(READY)  ## format the code and mend what can be mended
	$(RUN)/ruff format .
	$(RUN)/ruff check --fix .

lock:  ## resolve the dependencies anew (needs uv)
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header pyproject.toml -o requirements/runtime.txt
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header pyproject.toml --group check --group lab --group bench -o requirements/development.txt

clean: lab-down  ## remove what was built here; the lab's cached root stays
	rm -rf $(VENV) .lab .mypy_cache .ruff_cache .pytest_cache .hypothesis dist build

$(READY): requirements/development.txt pyproject.toml hardware-lab/setup.sh
	@hardware-lab/setup.sh python "$(PYTHON)" "$(VENV)"
	@touch $@

$(SYSTEM): hardware-lab/setup.sh | $(READY)
	@hardware-lab/setup.sh system
	@touch $@

$(OIDC): hardware-lab/oidc/package-lock.json hardware-lab/setup.sh | $(READY)
	@hardware-lab/setup.sh oidc
	@touch $@
