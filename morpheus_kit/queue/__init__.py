"""The queue in Redis: keys, what lies under them, and the scripts that move it."""
