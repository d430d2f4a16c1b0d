"""The only HTTP: verifies, translates to gRPC, never decides."""
