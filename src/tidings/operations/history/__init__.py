"""What happened: search it, read it, and send again."""
