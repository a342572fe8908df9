"""What pages show, as plain structs made by pure functions. Templates hold no decisions; they are made here."""
