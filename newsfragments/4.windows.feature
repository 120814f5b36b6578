Windows Server 2012 R2 to 2025, Windows 10 and 11: Windows PE from the medium's own boot.wim, the image applied over HTTP or from a share, RackHD's option names (docs/os/windows.md).
