SLES 12 and 15 and openSUSE Leap 15 install by AutoYaST: `pxed install NODE leap --release 15` (docs/os/suse.md).
