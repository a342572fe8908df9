"""Listeners: deliveries for clients that ask for them."""
