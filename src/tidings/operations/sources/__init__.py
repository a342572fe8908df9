"""What makes events: tables, collections, jobs, integrations, and the catalogue of types."""
