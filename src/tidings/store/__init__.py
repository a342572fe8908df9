"""PostgreSQL. One module per family of tables; their SQL is in `sql/<module>.sql`, under the same names."""
