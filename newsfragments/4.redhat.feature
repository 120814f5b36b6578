RHEL, CentOS, Rocky Linux, AlmaLinux, Oracle Linux and Fedora install by kickstart: `pxed install NODE rocky --release 9` (docs/os/redhat.md).
