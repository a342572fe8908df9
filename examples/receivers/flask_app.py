"""Flask. pip install flask tidings; WEBHOOK_SECRET=whsec_… python flask_app.py"""

import os

from flask import Flask

from tidings.receiving import Received, Receiver
from tidings.receiving.flask import webhook

app = Flask(__name__)
receiver = Receiver(os.environ["WEBHOOK_SECRET"])  # store=PostgresStore(pool.connection) in earnest


@app.post("/webhooks")
@webhook(receiver)
def receive(event: Received) -> None:
    print(event.type, event.data, flush=True)  # once for each event; what is raised here brings it back


if __name__ == "__main__":
    app.run(port=int(os.environ.get("PORT", "8000")))
