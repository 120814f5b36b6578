# The lab: real firmware, a real DHCP server, the real Debian installer, in network namespaces. Included by the Makefile.
FIRMWARE ?= bios
RELEASE ?= 12
ifneq ($(filter-out bios uefi uefi-http,$(FIRMWARE)),)
$(error FIRMWARE is bios, uefi or uefi-http, not '$(FIRMWARE)')
endif

.PHONY: demo lab-assets lab-quick test-lab

demo: setup
	@$(PY) -m tests.lab.demo --firmware $(FIRMWARE) --release $(RELEASE)

lab-assets: setup
	@$(PY) -m tests.lab.assets --release $(RELEASE)

# In `make test`: one full BIOS install with pxed killed and restarted meanwhile, and the two other firmwares up to the installer.
lab-quick: setup
	$(SAY) 'The lab: real firmware, real DHCP server, real installer (minutes)'
	@$(PY) -m pytest -m 'lab and not slow' -s tests/lab

test-lab: setup
	$(SAY) 'The lab: all three firmwares, both full installs (long)'
	@$(PY) -m pytest -m lab -s tests/lab
