"""How a request is sent and a response is handed over: transports, clients, waiting, streams.

It knows the engine's steps and does what they ask for. It must not decide anything about caching.
"""
