"""Benchmarks: every speed claim of the project, measured side by side with a floor or a peer.

`python -m benchmarks` runs all of them and writes table, data and plots to `benchmarks/results`; `--help` says more.
"""
