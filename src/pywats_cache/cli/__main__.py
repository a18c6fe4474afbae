"""`python -m pywats_cache.cli`."""

from . import main

main()
