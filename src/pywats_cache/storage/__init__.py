"""Where answers are kept.

| module | what it is |
|---|---|
| `memory` | the default: a `table` with bounds, in the order of a `policy` (LRU, `tinylfu`), and a `tally` by rule |
| `hishel_face` | the side of `memory` that hishel's transports see |
| `tiered` | memory in front of a hishel storage |
| `sharing` | memory in front of records that processes share (`rows`), kept coherent by a ledger (`changes`) |
| `shared_coherence` | the coherence of one process with the others of a ledger |
| `shared`, `sqlite_records`, `sqlite_ledger` | in SQLite, over `sqlite_file`, `epoch_file`, `install_key`, `in_place` |
| `store_files` | where the files of such a store are, and whether what is there is its own |
| `redis_shared`, `redis_rows`, `redis_ledger` | in Redis or Valkey, with `redis_feed` for what it pushes |
| `entry`, `record`, `compression` | a stored answer in memory, and as bytes |
| `looking`, `sqlite_look`, `redis_look` | a store looked at from outside |
| `url` | storages by URL |
"""
