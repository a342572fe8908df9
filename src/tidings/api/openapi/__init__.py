"""What `/openapi.json` says beyond routes and types."""
