"""The HTTP API: reads what is asked, and shows what came of it."""
