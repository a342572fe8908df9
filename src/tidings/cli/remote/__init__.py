"""The door over HTTP: what people do at a prompt with a server that may be anywhere."""
