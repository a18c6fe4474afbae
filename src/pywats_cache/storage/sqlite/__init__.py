"""Responses shared among the processes of one machine, in a SQLite file.

It knows files, SQLite and a small mapped file. It must not know requests, policy, or Redis.
"""
