Red Hat's activation key, and the logins in the URLs of proxies and further repositories, are stored sealed; RHEL 6 and 7 register without the key in any process list.
