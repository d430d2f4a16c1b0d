"""Sends queued messages: fairly, once, with retries."""
