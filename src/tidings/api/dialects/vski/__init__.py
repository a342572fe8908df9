"""The API of VSKI: webhooks and their log, collections and records, and jobs, as its clients read and write them."""
