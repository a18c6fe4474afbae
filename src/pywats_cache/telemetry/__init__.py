"""What the engine writes down: outcomes, counters, events, traces.

It knows the words for what happened. It must not know who decides, nor where responses are kept.
"""
