"""Benchmarks: every speed claim of the project, measured side by side with a floor or a peer.

`python -m benchmarks [quick] [name …]` prints a table and writes it to `benchmarks/results/`.
"""
