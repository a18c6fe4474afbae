"""Responses shared among machines, in Redis or Valkey.

It knows redis-py, scripts and what the server pushes. It must not know requests, policy, or SQLite.
"""
