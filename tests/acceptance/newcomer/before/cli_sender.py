"""A sender that somebody tries with a bin: it signs what it sends, and then sends the same in other bytes."""

import os
import sys
import time
from datetime import UTC, datetime

import httpx
from standardwebhooks import Webhook

server = httpx.Client(base_url=os.environ["TIDINGS_SERVER"], headers={"X-API-Key": os.environ["KEY"]})
while not (bins := server.get("/api/v1/bins").json()):
    time.sleep(0.1)
signed, now = '{"total":12.5}', datetime.now(UTC)
signature = Webhook(sys.argv[1]).sign("order-1", now, signed)
headers = {"webhook-id": "order-1", "webhook-timestamp": str(int(now.timestamp())), "webhook-signature": signature}
for body in (signed, '{"total": 12.5}'):
    httpx.post(f"{bins[0]['url']}/orders?a=b", content=body, headers=headers | {"content-type": "application/json"})
