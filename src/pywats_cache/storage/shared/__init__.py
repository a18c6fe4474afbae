"""What processes share, whatever keeps it: records, a ledger of changes, and memory in front of both.

It knows the protocols of a ledger and of a record store. It must not know SQLite or Redis, nor any policy.
"""
