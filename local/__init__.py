"""The one-machine stack: an embedded Redis, the five services and a demonstration."""
