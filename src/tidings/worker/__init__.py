"""What runs behind the API: one module per duty, and the service that starts and stops them."""
