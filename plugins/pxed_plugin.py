"""Names the pxed service for twistd; imports nothing of pxed until it is asked for."""

from twisted.application.service import ServiceMaker

pxed = ServiceMaker("pxed", "pxed.tap", "An OS-provisioning appliance beside a DHCP server it does not own", "pxed")
