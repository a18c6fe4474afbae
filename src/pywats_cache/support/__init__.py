"""What everyone uses: the clock, checks of arguments, forks, names that load when they are asked for.

It knows Python and the operating system. It must not know anything of caching.
"""
