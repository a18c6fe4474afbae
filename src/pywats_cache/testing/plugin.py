"""The fixtures of the pytest plugin that comes with this package.

They are there as soon as it is installed; with PYTEST_DISABLE_PLUGIN_AUTOLOAD, `pytest_plugins =
["pywats_cache.testing.plugin"]` brings them.

```python
def test_the_second_call_is_cached(cache_clock, assert_cached, assert_not_cached):
    client = CacheClient(clock=cache_clock, transport=…)
    assert_not_cached(client.get("/a"))
    assert_cached(client.get("/a"))
    cache_clock.advance(301)
    assert_not_cached(client.get("/a"))
```
"""

from __future__ import annotations

from _pywats_cache_pytest import assert_cached, assert_not_cached, cache_clock

__all__ = ["assert_cached", "assert_not_cached", "cache_clock"]
