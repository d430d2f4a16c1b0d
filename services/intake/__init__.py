"""Accepts groups: validates, and queues durably."""
