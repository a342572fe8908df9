"""Outgoing HTTP: which addresses may be called, and the only client that calls them."""
