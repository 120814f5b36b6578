"""Red Hat's family is one: see samples_redhat."""

from tests.oses.samples_redhat import FULL, HOSTILE

__all__ = ["FULL", "HOSTILE"]
