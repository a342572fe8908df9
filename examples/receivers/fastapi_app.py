"""FastAPI. pip install fastapi uvicorn tidings; WEBHOOK_SECRET=whsec_… python fastapi_app.py"""

import os

from fastapi import FastAPI, HTTPException, Request

from tidings import verify
from tidings.client import VerificationError

app = FastAPI()


@app.post("/webhooks", status_code=204)
async def receive(request: Request) -> None:
    try:
        event = verify(await request.body(), request.headers, os.environ["WEBHOOK_SECRET"])
    except VerificationError as error:
        raise HTTPException(401, str(error)) from error
    print(event["type"], event["data"])  # repeats have the same webhook-id header


if __name__ == "__main__":
    import uvicorn

    uvicorn.run(app, port=int(os.environ.get("PORT", "8000")))
