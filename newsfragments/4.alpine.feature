Alpine Linux 3.20 to 3.22 can be installed: a system in memory runs setup-alpine with pxed's answers (docs/os/alpine.md).
