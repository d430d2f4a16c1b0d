"""Records what happened to each message, and answers questions about it."""
