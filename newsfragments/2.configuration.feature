docs/configuration.md: every setting in one example, pxed as a systemd service, what to keep, how to upgrade.
