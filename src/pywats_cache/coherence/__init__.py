"""Why nothing out of date is served: epochs, tags, and flights that are shared.

It knows numbers, tags and keys. It must not know what a request or a response is, nor where responses are kept.
"""
