"""What stands between the socket and the application: bounds on what a client may send, hold and wait for."""
