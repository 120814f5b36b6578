# The lab: real firmware, a real DHCP server, the real Debian installer, in network namespaces. Included by the Makefile.
FIRMWARE ?= bios
RELEASE ?= 12
ifneq ($(filter-out bios uefi uefi-http,$(FIRMWARE)),)
$(error FIRMWARE is bios, uefi or uefi-http, not '$(FIRMWARE)')
endif

# The factor on all the lab's waiting: a busy host is slow, which is no fault of what is tested.
export PXED_LAB_PATIENCE ?= 2

.PHONY: demo lab-assets lab-boots lab-quick test-lab

demo: setup
	@$(PY) -m tests.lab.demo --firmware $(FIRMWARE) --release $(RELEASE)

lab-assets: setup
	@$(PY) -m tests.lab.assets --release $(RELEASE)

# In `make test`: real firmware up to the installer's request for its answer file, machines that pxed must leave alone, the lab's own tests.
lab-boots: setup lab-assets
	$(SAY) 'The lab: real firmware and a real DHCP server, up to the installer (about 6 minutes without KVM)'
	@$(PY) -m pytest -m 'lab and not slow' -s tests/lab --ignore=tests/lab/test_install.py

# One full BIOS install with pxed killed and restarted meanwhile; beside it the other firmwares up to the installer, machines
# that pxed must leave alone, and the lab's own tests. Two processes, since the install mostly waits for one emulated CPU.
lab-quick: setup lab-assets
	$(SAY) 'The lab: real firmware, real DHCP server, real installer (about 15 minutes without KVM)'
	@$(PY) -m pytest -m 'lab and not slow' -s tests/lab/test_install.py & install=$$!; \
	trap 'kill $$install 2>/dev/null; wait $$install; exit 130' INT TERM; \
	$(PY) -m pytest -m 'lab and not slow' -s tests/lab --ignore=tests/lab/test_install.py; boots=$$?; \
	wait $$install; installed=$$?; [ $$boots = 0 ] && [ $$installed = 0 ]

test-lab: setup lab-assets
	$(SAY) 'The lab: all three firmwares up to the installer, both full installs (long)'
	@$(PY) -m pytest -m lab -s tests/lab
