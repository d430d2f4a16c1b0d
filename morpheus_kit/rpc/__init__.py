"""gRPC servers and clients, and the one mapping between errors and statuses."""
