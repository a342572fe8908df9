"""Webhooks: create, change, read, test, and rotate their secrets."""
