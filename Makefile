# `make help` lists the targets. Everything heavy is cached under the user's
# cache directory; a missing cache only costs time.
GO      ?= go
OLLAMA  := github.com/ollama/ollama
ENGINE  := appliance/engine
KERNELS := $(CURDIR)/bin/kernels
# A number of runs, not a time: Go's fuzzer sometimes reports its own deadline as a
# failure when the machine is busy (go.dev/issue/75804).
FUZZTIME ?= 20000x
# The fuzzer's mutations begin with the seed of the other tests; nothing where it is random.
FUZZDEBUG = $(addprefix fuzzseed=,$(filter-out random,$(SKERRY_TEST_SEED)))
# Compile jobs: one a core, and no more than there are GB of free memory.
JOBS := $(shell c=$$(nproc 2>/dev/null || echo 1); m=$$(awk '/MemAvailable/{print int($$2/1048576)}' /proc/meminfo 2>/dev/null || echo 1); [ "$$m" -lt 1 ] && m=1; [ "$$m" -lt "$$c" ] && echo $$m || echo $$c)
PROMPT ?= What is a lighthouse for? Answer in two sentences.

# The newest tag and what came after it; before the first one, the coming number and the commit.
VERSION := $(shell git describe --tags --match 'v[0-9]*' --dirty 2>/dev/null | sed 's/^v//' | grep . || echo 0.1.0+$$(git describe --always --dirty=.dirty --exclude '*' 2>/dev/null || echo unknown))
# No flag that changes how packages compile: the tests share what this built.
GOBUILD := $(GO) build -buildvcs=false -p $(JOBS) -ldflags "-X main.version=$(VERSION)"
export SKERRY_KERNELS ?= $(KERNELS)
# Where random input of the tests starts from: the same place each time, unless
# SKERRY_TEST_SEED is another number or "random", which RAPID_SEED calls 0.
export SKERRY_TEST_SEED ?= 1
export RAPID_SEED ?= $(SKERRY_TEST_SEED:random=0)
# One thread a side: spinning ggml pools starve one another on two cores.
GOTEST := $(GO) test -p 1

.DEFAULT_GOAL := help

# A target says after "##" in which group of the list it is.
.PHONY: help
help: ## use: list the targets
	@for g in use develop package measure; do echo "$$g"; \
	  awk -F':.*## ' -v g="$$g: " '/^[a-z-]+:.*## /{if (index($$2, g) == 1) printf "  make %-13s %s\n", $$1, substr($$2, length(g)+1)}' $(firstword $(MAKEFILE_LIST)); done

.PHONY: run
run: build ## use: fetch and prepare the default model, start a cloud partition here, answer one prompt
	./bin/skerry run "$(PROMPT)"
	@echo "the daemon and its page: ./bin/skerry serve, then http://127.0.0.1:7537/"

# A model of 1.5B parameters with one of 0.5B as its draft; split once, into the cache.
PAIR ?= $(or $(SKERRY_CACHE),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/skerry)/bundles/qwen2.5-coder-1.5b-0.5b
PAIR_FLAGS ?= --mode collaborative
PAIR_PROMPT ?= Write a Go function that reverses a slice of strings in place. Only the code.
.PHONY: pair
pair: build ## use: a model and its draft: fetch both (1.6 GB), split them, answer a coding prompt
	@[ -f "$(PAIR)/manifest.json" ] || { model=$$(./bin/skerry model fetch qwen2.5-coder-1.5b) && \
	  ./bin/skerry model split "$$model" --name qwen2.5-coder-1.5b --draft qwen2.5-coder-0.5b --exits 9,19 -o "$(PAIR)"; }
	./bin/skerry run --bundle "$(PAIR)" $(PAIR_FLAGS) --threads 1 --max-tokens 128 "$(PAIR_PROMPT)"

.PHONY: build
build: goversion headers kernels ## use: ./bin/skerry for this machine, with the best kernels
	@[ -x bin/skerry ] || echo "building ./bin/skerry (the first time compiles llama.cpp: about 4 minutes of processor time)"
	$(GOBUILD) -o bin/skerry ./appliance

.PHONY: test
test: build standin check-static boards docs testtools cuda-check ## develop: everything the continuous integration runs
	$(GOTEST) -timeout 40m ./...
	$(MAKE) --no-print-directory race
	@cat build/out/nspawn.txt 2>/dev/null || true
	@cat build/out/emulation.txt 2>/dev/null || echo "arm64 was not tried: make emulate says why"
	$(MAKE) --no-print-directory fuzz

# Few of the short tests compute, so that two packages side by side take nothing from each
# other; half of the time is linking, which is never cached.
.PHONY: check
check: build standin check-static ## develop: the short subset of make test, for the edit loop: few answers of a model
	$(GO) test -p 2 -short -timeout 10m ./...

.PHONY: check-static
check-static: goversion headers ## develop: gofmt and go vet
	@out=$$(gofmt -l appliance cloudlink storage board systemd build cross 2>/dev/null); \
	  [ -z "$$out" ] || { echo "not gofmt'ed: $$out"; exit 1; }
	$(GO) vet ./...

# What needs no model, under the race detector; the engine would be compiled anew for
# it. quic-go's 0-RTT has races of its own, so what dials in early data is left out.
RACE ?= $(addprefix ./appliance/,httpd/... infer api/... chat chat/grammar/... chat/jinja chat/orderedjson chat/template chat/tools cli config admin fserr decode/policy status/...) \
  ./board ./storage ./systemd $(addprefix ./cloudlink/,hidden linksim monitor transport trust wire rank partition/fence partition/library partition/sched clock session internal/...)
.PHONY: race
race: goversion headers ## develop: the fast tests under the race detector
	$(GOTEST) -race -short -timeout 15m $(RACE)

# What is found new is made smaller in 100 runs at most; go test would take up to a minute
# for each, some of which would be most of the time.
.PHONY: fuzz
fuzz: goversion headers ## develop: every fuzz target for FUZZTIME (20000 runs) each
	@set -e; for p in $$(grep -rl --include='*_test.go' '^func Fuzz' . | xargs -n1 dirname | sort -u); do \
	  for f in $$(grep -h '^func Fuzz' $$p/*_test.go | sed 's/func \(Fuzz[A-Za-z0-9_]*\).*/\1/'); do \
	    echo "fuzz $$p $$f $(FUZZTIME)"; GODEBUG=$(FUZZDEBUG) $(GO) test $$p -run '^$$' -fuzz "^$$f$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 100x -parallel 2 >/tmp/skerry-fuzz.$$$$ 2>&1 || { cat /tmp/skerry-fuzz.$$$$; rm -f /tmp/skerry-fuzz.$$$$; exit 1; }; rm -f /tmp/skerry-fuzz.$$$$; \
	  done; done

# The tests with random input, SOAK times each, from another seed each time; a failure
# names its seed.
SOAK ?= 20
.PHONY: soak
soak: build ## develop: SOAK (20) runs of each test with random input, from random seeds
	@set -e; export SKERRY_TEST_SEED=random RAPID_SEED=0 SKERRY_SOAK=1; \
	for p in $$(grep -rlE --include='*_test.go' 'testseed\.|rapid\.(Make)?Check\(' appliance cloudlink storage | xargs -n1 dirname | sort -u); do \
	  tests=$$(awk '/^func /{n=""} /^func Test/{n=$$2; sub(/\(.*/, "", n)} n && /testseed\.|rapid\.(Make)?Check\(/{print n; n=""}' $$p/*_test.go | paste -sd'|'); \
	  $(GOTEST) ./$$p -short -timeout 0 -failfast -count $(SOAK) -run "^($$tests)$$"; \
	done

# The seeded fault test at length: kills of either side, cuts of 1 to 60 s,
# blackholes, changed addresses, evictions, doubled, lost and re-ordered datagrams,
# torn commits. make test has 100 faults with cuts up to 3 s. SKERRY_TEST_SEED=random
# makes other faults each time.
FAULTS ?= 1000
.PHONY: chaos
chaos: build ## develop: FAULTS=N faults while answers are decoded (1000: about an hour)
	@mkdir -p build/out && rm -f build/out/chaos.txt
	$(GOTEST) ./appliance -run '^TestChaos$$' -count 1 -v -timeout 0 -faults $(FAULTS) -longest-cut 60s -chaos-out $(CURDIR)/build/out/chaos.txt
	@cat build/out/chaos.txt

# The same of several workers of a cloud and their etcd, all processes: killed, stopped for
# longer than their leases, drained, and the link cut, while a board's answers go on.
.PHONY: chaos-fleet
chaos-fleet: goversion ## develop: FAULTS=N faults of a cloud's workers and their etcd (300: ten minutes)
	@mkdir -p build/out && rm -f build/out/chaos-fleet.txt
	$(GO) test ./cloudlink/fleet -run '^TestFleetChaos$$' -count 1 -v -timeout 0 -faults $(FAULTS) -chaos-out $(CURDIR)/build/out/chaos-fleet.txt
	@cat build/out/chaos-fleet.txt

# What the compose file and the manifest for Kubernetes say, as processes with file systems and
# networks of their own, and an etcd built of the module: a board is answered by one worker, then by
# another when that is killed, and by the third when that is drained. It needs root.
.PHONY: fleet
fleet: build docs ## develop: start the three workers and the etcd of build/fleet for real
	$(GO) test ./build/fleet -run 'Runs$$' -count 1 -v -timeout 40m -run-files
	$(GO) test ./build/deb -run TestWorkerInstalled -count 1 -v -timeout 40m -fleet

# The exit heads that the program carries for its default model, fitted anew; commit both
# files. HEADS are options of skerry model calibrate. What an interrupted run has read and
# written is not done again.
CARRIED = appliance/bundle/prepare/heads
HEADS ?= --seed 1 --tokens 150000 --steps 800
.PHONY: heads
heads: build ## develop: fit the default model's exit heads again
	@mkdir -p build/out/heads && [ -e build/out/heads/bundle ] || ./bin/skerry model split "$$(./bin/skerry model fetch)" -o build/out/heads/bundle
	./bin/skerry model calibrate build/out/heads/bundle $(HEADS) --head-set $(CURDIR)/$(CARRIED)/smollm2-135m-instruct.zip
	cd $(CARRIED) && sha256sum smollm2-135m-instruct.zip > smollm2-135m-instruct.zip.sha256

.PHONY: kernels
kernels: goversion headers ## develop: the CPU kernel variants only
	@cross/kernels.sh "$$($(GO) list -m -f '{{.Dir}}' $(OLLAMA))" "$(KERNELS)" $(JOBS)

# CUDA is some of jetpack6, jetpack7 and amd64. What is compiled is kept, so that an
# interrupted build goes on where it was.
CUDA ?= jetpack6
CUDAJOBS ?= $(shell echo $$((($(JOBS) + 1) / 2)))
BUILDCUDA = $(GO) run -buildvcs=false ./cross/cuda -module "$$($(GO) list -m -f '{{.Dir}}' $(OLLAMA))" -jobs $(CUDAJOBS)
ARCHKERNELS = cross/kernels.sh "$$($(GO) list -m -f '{{.Dir}}' $(OLLAMA))" $(CURDIR)/build/out/$(1)/bin/kernels $(JOBS) $(1)

.PHONY: cuda
cuda: goversion headers ## package: kernels for GPUs, CUDA=jetpack6, jetpack7 or amd64 (an hour and more for each), in build/out/cuda
	@for a in $(sort $(patsubst jetpack%,arm64,$(CUDA:all=amd64 arm64))); do $(call ARCHKERNELS,$$a) || exit 1; done
	@nice -n 5 $(BUILDCUDA) $(CUDA)

# A small part of each, compiled and linked, so that flags that do not work show. The compilers
# are fetched once (1 GB, which becomes 0.4 in the cache).
.PHONY: cuda-check
cuda-check: goversion headers ## develop: compile and link a small part of the kernels for GPUs, for each of them
	@$(BUILDCUDA) -check -fetch-limit 3m all

# A stand-in for a GPU, which computes on the CPU (cross/standin): no package carries it.
.PHONY: standin
standin: kernels ## develop: what the tests of GPUs compute on, in bin/standin
	@cross/standin.sh "$$($(GO) list -m -f '{{.Dir}}' $(OLLAMA))" "$(KERNELS)" $(CURDIR)/bin/standin

# The parity of slices and the engine's tests against a newer llama.cpp than the
# module's; damaged models, leaks, batches of 64 rows against others and
# truncated sliding windows, which are not right there, are left out. CGO_CPPFLAGS
# is for Go's cache, which does not look at what pkg-config says.
.PHONY: system-llama
system-llama: goversion kernels ## develop: build against a newer libllama (-tags system_llama) and test parity
	@dir=$$(nice -n 10 cross/libllama.sh $(JOBS)) || exit 1; [ -n "$$dir" ] || { echo "system-llama: skipped"; exit 0; }; \
	  export PKG_CONFIG_PATH="$$dir$${PKG_CONFIG_PATH:+:$$PKG_CONFIG_PATH}"; \
	  export CGO_CPPFLAGS="$$(pkg-config --cflags llama)"; \
	  $(GOBUILD) -tags system_llama -o bin/skerry-system-llama ./appliance && ./bin/skerry-system-llama version && \
	  $(GOTEST) -short -skip 'Window|DoNotDepend' -tags system_llama ./appliance/engine && \
	  $(GOTEST) -tags system_llama -skip 'TestAdmittedIsHarmless|Lazily' ./appliance/bundle/parity

# Packages are built from these: the program and every kernel variant, without
# paths of this machine. Exit code 3 says that a compiler is not to be had.
CROSS = GO=$(GO) cross/cross.sh $(1) $(CURDIR)/build/out/$(1) "$$($(GO) list -m -f '{{.Dir}}' $(OLLAMA))" $(JOBS) $(VERSION)

ALLKERNELS = cross/kernels.sh "$$($(GO) list -m -f '{{.Dir}}' $(OLLAMA))" $(CURDIR)/build/out/amd64/bin/kernels $(JOBS) amd64

.PHONY: cross
cross: goversion headers ## package: the arm64 program and its kernel variants, in build/out/arm64
	@$(call CROSS,arm64)

# What the tests want of these, where it is to be had; else they skip and say so.
.PHONY: boards
boards: goversion headers
	@$(call CROSS,arm64) || [ $$? = 3 ]
	@cross/qemu.sh || [ $$? = 3 ]
	@[ "$$($(GO) env GOHOSTARCH)" != amd64 ] || $(ALLKERNELS) || [ $$? = 3 ]

.PHONY: emulate
emulate: build boards ## measure: the default model on imitated arm64 boards (8 minutes), and a table of it
	$(GOTEST) -count=1 -timeout 60m -v -run 'Choice|Fallback|Float|Emulated|Floor' ./cross

.PHONY: docs
docs: build ## package: man pages and completions, in build/out/docs
	@build/docs.sh ./bin/skerry build/out/docs

.PHONY: deb
deb: cross docs ## package: Debian packages for arm64 and amd64, in build/out
	@$(call CROSS,amd64)
	@export SOURCE_DATE_EPOCH=$${SOURCE_DATE_EPOCH:-$$(git log -1 --format=%ct)}; for a in arm64 amd64; do \
	  $(GO) run ./build/deb -arch $$a -bin build/out/$$a/bin -version $(VERSION) || exit 1; done

# The keys that updates may be signed with are built into the packages: UPDATE_KEYS is what
# minisign prints, several with spaces between. MINISIGN_KEY is the file of the secret one.
export UPDATE_KEYS
.PHONY: update
update: deb ## package: the updates of installed packages, signed with MINISIGN_KEY, in build/out/update
	@export SOURCE_DATE_EPOCH=$${SOURCE_DATE_EPOCH:-$$(git log -1 --format=%ct)}; for a in arm64 amd64; do \
	  $(GO) run ./build/update -arch $$a -bin build/out/$$a/bin -version $(VERSION) || exit 1; done

.PHONY: oci
oci: deb ## package: container images of both, for arm64 and amd64, in build/out/oci
	@SOURCE_DATE_EPOCH=$${SOURCE_DATE_EPOCH:-$$(git log -1 --format=%ct)} $(GO) run ./build/oci -version $(VERSION)

# Signed with MINISIGN_KEY and, for apt, with the OpenPGP key in the file APT_KEY; with keys of
# a trial where they are not set. RELEASE_URL is where it is going to be. IMAGES, as "uefi pi",
# are built first, with the same keys; those that are there of this commit are taken in.
.PHONY: release
release: goversion headers ## package: everything that a user downloads, with sums and signatures, in build/out/release
	@set -e; export SOURCE_DATE_EPOCH=$${SOURCE_DATE_EPOCH:-$$(git log -1 --format=%ct)}; \
	  keys=$$($(GO) run ./build/release -keys build/out/release-keys); eval "$$keys"; \
	  $(MAKE) --no-print-directory update oci; \
	  for b in $(IMAGES); do $(MAKE) --no-print-directory image BOARD=$$b; done; \
	  $(GO) run ./build/release -version $(VERSION)

# BOARD=pi: for Raspberry Pi 4 and 5. BUNDLE=DIR: a model bundle that the image carries.
.PHONY: image
image: cross docs ## package: an arm64 image for boards with UEFI, or BOARD=pi, in build/out; BUNDLE=DIR carries a model
	@build/image/tools.sh
	@export SOURCE_DATE_EPOCH=$${SOURCE_DATE_EPOCH:-$$(git log -1 --format=%ct)}; \
	  $(GO) run ./build/deb -arch arm64 -bin build/out/arm64/bin -version $(VERSION) || exit 1; \
	  $(GO) run ./build/image -board $(or $(BOARD),uefi) -version $(VERSION) -deb "$$(ls -t build/out/skerry_*_arm64.deb | head -1)" $(if $(BUNDLE),-bundle $(BUNDLE))

# PULLS: how often the power is cut. STEPS: what is done, as "start,update" (list shows them), else all
# that is not done yet of this IMAGE: what has come of it stays in build/out/image-test. UPDATE=DIR: the
# update of the image, where it is not beside it.
PULLS ?= 30
.PHONY: image-test
image-test: ## measure: the image in qemu: it starts, answers, is updated, and survives PULLS power cuts; a table in build/out
	@build/image/tools.sh qemu
	@$(GO) run ./build/image/try -image "$(or $(IMAGE),$$(ls -t build/out/skerry-uefi-*.img 2>/dev/null | head -1))" $(if $(UPDATE),-update "$(UPDATE)") $(if $(STEPS),-steps "$(STEPS)") -pulls $(PULLS) -out build/out/image-test.txt

# What the tests of packages and of the page want, where it is to be had; else they skip and say so.
.PHONY: testtools
testtools:
	@build/tools.sh

# The C headers are used from the module cache, through links git does not see.
.PHONY: headers
headers: goversion ## develop: link the C headers from the module cache
	@$(GO) mod download $(OLLAMA)
	@m=$$($(GO) list -m -f '{{.Dir}}' $(OLLAMA)); mkdir -p $(ENGINE)/.include; \
	  ln -sfn "$$m/llama/llama.cpp/include" $(ENGINE)/.include/llama; \
	  ln -sfn "$$m/ml/backend/ggml/ggml/include" $(ENGINE)/.include/ggml

.PHONY: goversion
goversion: ## develop: check that Go and the C compilers are there
	@command -v $(GO) >/dev/null || { echo "make: go is not installed: Skerry needs Go 1.26 or newer"; exit 1; }
	@v=$$(GOTOOLCHAIN=local $(GO) env GOVERSION 2>/dev/null | sed 's/^go//'); \
	  printf '1.26\n%s\n' "$$v" | sort -C -V || { echo "make: go $$v is too old: Skerry needs Go 1.26 or newer"; exit 1; }
	@for t in cc c++; do command -v $$t >/dev/null || { echo "make: $$t is not installed: llama.cpp needs gcc and g++ (apt-get install gcc g++)"; exit 1; }; done

.PHONY: clean
clean: ## use: remove what was built here, not the caches
	rm -rf bin build/out $(ENGINE)/.include

.PHONY: newuser
newuser: ## use: make run in a clean Debian 12, as root and as a normal user (needs root)
	build/newuser.sh

# Packages of Python and npm are fetched once; CLIENTS are some of them, with commas between.
CLIENTS ?=
.PHONY: clients
clients: build ## measure: the clients that people use, on the 0.5B model: what each can do, in build/out/clients.txt
	@mkdir -p build/out
	$(GO) run ./build/clients -bin bin/skerry -only "$(CLIENTS)" -out build/out/clients.txt

# The results are kept by prompt, so that it may be done in pieces. BUNDLE=DIR is another model's.
EQUAL ?= 200
ATONCE ?= 4
.PHONY: equal
equal: build ## measure: EQUAL (200) prompts over a bad link: drafts change no token (hours, ATONCE (4) side by side; goes on where it stopped)
	@mkdir -p build/out
	$(GO) test ./appliance/bench/equal -run '^TestEqual$$' -count 1 -v -timeout 0 -parallel $(ATONCE) -at-once $(ATONCE) -prompts $(EQUAL) -tokens 128 \
	  -results $(CURDIR)/build/out/equal.jsonl $(if $(BUNDLE),-bundle $(abspath $(BUNDLE)))

.PHONY: bench
bench: build ## measure: the benchmark tables and plots, written to build/out
	@mkdir -p build/out
	./bin/skerry bench decode --out build/out
	./bin/skerry bench strategies --link rtt=0.1T,rate=30mbit --link rtt=0.5T,rate=30mbit --max-tokens 32 --out build/out
	./bin/skerry bench strategies --sweep --rounds 1 --max-tokens 24 --modes naive,paper,standalone,collaborative-t0.8,collaborative-t0.8-eager --out build/out --name strategies-sweep
	./bin/skerry bench strategies --simulate "T=35ms,m=0.05" --link rtt=3ms,rate=30mbit $(foreach r,0.5 1 2 5,--link rtt=$(r)T,rate=30mbit) --max-tokens 64 --out build/out --name strategies-simulated
	$(GO) test -run '^$$' -bench . -benchtime 3x -timeout 40m ./appliance/bundle/parity | tee build/out/bundle.txt
