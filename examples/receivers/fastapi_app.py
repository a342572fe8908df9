"""FastAPI. pip install fastapi uvicorn tidings; WEBHOOK_SECRET=whsec_… python fastapi_app.py"""

import os

from fastapi import FastAPI

from tidings.receiving import AsyncReceiver, Received
from tidings.receiving.fastapi import webhook

app = FastAPI()
receiver = AsyncReceiver(os.environ["WEBHOOK_SECRET"])  # store=AsyncPostgresStore(pool.acquire) in earnest


@app.post("/webhooks")
@webhook(receiver)
async def receive(event: Received) -> None:
    print(event.type, event.data, flush=True)  # once for each event; what is raised here brings it back


if __name__ == "__main__":
    import uvicorn

    uvicorn.run(app, port=int(os.environ.get("PORT", "8000")), log_level="warning")
