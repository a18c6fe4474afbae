"""What is asked about a cache afterwards: explanations, findings, snapshots, simulations.

It reads what the engine and the storages know. It must not change any of it, nor know transports or clients.
"""
