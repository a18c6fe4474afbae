"""What is cached, for how long, and what a write invalidates: values only.

It knows patterns of paths and numbers. It must not know storages, epochs, requests, or an HTTP library.
"""
