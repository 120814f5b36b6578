"""pxed: a standalone OS-provisioning appliance (proxy-DHCP, TFTP, HTTP, durable installs) in one Twisted process."""

__version__ = "0.1.0"
