"""Where documents are kept: one interface, one file for each kind of store."""
