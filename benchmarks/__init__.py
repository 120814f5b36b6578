"""Benchmarks: each program runs the peer beside pxed in the same minute, interleaved, and prints medians and ratios (`make bench`)."""
