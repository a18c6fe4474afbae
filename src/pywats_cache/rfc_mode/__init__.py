"""RFC mode: the same engine, its questions answered by RFC 9111 as a private cache, instead of by TTLs.

`Controller(rfc9111=True)` chooses `RfcEngine` when a transport is made, so a hit in TTL mode pays nothing for it. The
order of the decisions, the flights, the fence and the storage are the engine's; only what is asked about one request,
one answer or one stored answer differs:

| question | module |
|---|---|
| what a request asks (Cache-Control, conditions, Range) | `prepared` |
| whether a stored answer may be used, fresh or stale, and how much of it | `staleness` |
| how old an answer is, and what part of it a caller gets | `answers` |
| what is stored of an answer, and for how long it is fresh | `arrivals` |
| what HEAD and POST change of what is stored | `writes` |

`rfc9111`, `negotiation`, `ranges` and `methods` are what the RFCs say, as pure functions.
"""
