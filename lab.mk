# The lab: real firmware, a real DHCP server, the real Debian installer, in network namespaces. Included by the Makefile.
FIRMWARE ?= bios
RELEASE ?= 12
ifneq ($(filter-out bios uefi uefi-http,$(FIRMWARE)),)
$(error FIRMWARE is bios, uefi or uefi-http, not '$(FIRMWARE)')
endif

# The factor on all the lab's waiting: a busy host is slow, which is no fault of what is tested.
export PXED_LAB_PATIENCE ?= 2

.PHONY: demo lab-assets test-lab

demo: setup
	@$(PY) -m tests.lab.demo --firmware $(FIRMWARE) --release $(RELEASE)

lab-assets: setup
	@$(PY) -m tests.lab.assets --release $(RELEASE)

test-lab: setup lab-assets
	$(SAY) 'The lab: all three firmwares up to the installer, both full installs (long)'
	@$(PY) -m pytest -m lab -s tests/lab
