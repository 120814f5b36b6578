Ubuntu 18.04 installs by debian-installer, from the server medium that is not called live or from a mirror: `pxed install NODE ubuntu --release 18.04` (docs/os/ubuntu.md).
