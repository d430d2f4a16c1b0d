"""What every service shares: errors, configuration, RPC, queue. Knows no service."""
