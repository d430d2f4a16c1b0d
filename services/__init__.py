"""The services behind the gateway; they never import each other."""
