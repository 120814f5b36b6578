"""Tests of pxed.oses: what is rendered is read back by the programs that will read it."""
