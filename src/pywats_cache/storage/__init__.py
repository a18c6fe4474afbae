"""Where answers are kept: in memory, and in memory in front of a hishel storage."""
