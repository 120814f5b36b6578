The appliance: proxy-DHCP, TFTP, HTTP, syslog and durable installs in one process; `pxed up`, `twistd -n pxed`.
