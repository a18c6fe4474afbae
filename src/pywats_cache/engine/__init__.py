"""What happens to a request: every decision, once, without I/O.

It knows policy, protocol, coherence and the stored responses in memory. It must not know sockets, event loops or
files, nor which library made a request.
"""
