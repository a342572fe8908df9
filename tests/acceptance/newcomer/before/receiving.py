"""A receiver with a fault that is common: it verifies what it makes of the parsed body instead of the bytes that came."""

import json
import os
from typing import Annotated, Any

import uvicorn
from fastapi import Body, FastAPI, HTTPException, Request

from tidings import verify
from tidings.client import VerificationError

app = FastAPI()


@app.post("/hook", status_code=204)
async def hook(request: Request, event: Annotated[Any, Body()]) -> None:
    """Take a delivery."""
    try:
        verify(json.dumps(event).encode(), request.headers, os.environ["WEBHOOK_SECRET"])
    except VerificationError:
        raise HTTPException(400) from None


uvicorn.run(app, host="127.0.0.1", port=int(os.environ["PORT"]))
