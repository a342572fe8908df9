"""Flask. pip install flask tidings; WEBHOOK_SECRET=whsec_… python flask_app.py"""

import os

from flask import Flask, request

from tidings import verify
from tidings.client import VerificationError

app = Flask(__name__)


@app.post("/webhooks")
def receive() -> tuple[str, int]:
    try:
        event = verify(request.get_data(), request.headers, os.environ["WEBHOOK_SECRET"])
    except VerificationError as error:
        return str(error), 401
    print(event["type"], event["data"])  # repeats have the same webhook-id header
    return "", 204


if __name__ == "__main__":
    app.run(port=int(os.environ.get("PORT", "8000")))
