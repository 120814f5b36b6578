`pxed doctor` says when the appliance cannot hear other DHCP and PXE servers on the wire (that takes CAP_NET_RAW).
