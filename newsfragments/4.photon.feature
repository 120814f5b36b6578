Photon OS 3, 4 and 5 can be installed: `pxed install NODE photon --release 5` (docs/os/photon.md). RackHD's `installType` is kept.
