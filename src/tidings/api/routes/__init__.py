"""Our own routes, one module for each thing they are about."""
