"""Stand-ins for providers: real servers that record what they get, answer, call back, and fail when told to."""
