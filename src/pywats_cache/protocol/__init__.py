"""What the RFCs say, as pure functions of header fields and times.

It knows RFC 9110, 9111, 9211 and 5861. It must not know rules, storages, epochs, or an HTTP library.
"""
