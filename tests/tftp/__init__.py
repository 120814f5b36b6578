"""TFTP: every rule of the five RFCs in raw packets over loopback, the clock under the test's control."""
