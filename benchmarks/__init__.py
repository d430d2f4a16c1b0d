"""What the project measures; the method is in `benchmarks/README.md`."""
