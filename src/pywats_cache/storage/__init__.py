"""Where responses are kept: in memory, and behind it.

It knows stored responses, bounds, orders of eviction, files and servers. It must not know any policy, the engine
or a transport.
"""
