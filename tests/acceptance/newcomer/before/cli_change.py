"""What somebody writes into the file that `tidings export` made."""

from pathlib import Path

import yaml

file = Path("tidings.yaml")
kept = yaml.safe_load(file.read_text())
kept["webhooks"]["erp"] |= {"events": ["order.*", "invoice.*"], "headers": {"X-Team": "billing"}}
kept["webhooks"]["crm"] = {"url": "https://crm.example.com/hook", "events": ["*"]}
file.write_text(yaml.safe_dump(kept, sort_keys=False))
