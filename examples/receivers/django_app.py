"""Django, in one file. pip install django tidings; WEBHOOK_SECRET=whsec_… python django_app.py"""

import os
import sys

from django.conf import settings
from django.core.management import execute_from_command_line
from django.urls import path

from tidings.receiving import Received, Receiver
from tidings.receiving.django import webhook

receiver = Receiver(os.environ["WEBHOOK_SECRET"])  # store=PostgresStore(lambda: nullcontext(connection)) in earnest


@webhook(receiver)
def receive(event: Received) -> None:
    print(event.type, event.data, flush=True)  # once for each event; what is raised here brings it back


urlpatterns = [path("webhooks", receive)]

if __name__ == "__main__":
    settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], SECRET_KEY="only-an-example", DEBUG=False)  # noqa: S106
    execute_from_command_line([sys.argv[0], "runserver", "--noreload", os.environ.get("PORT", "8000")])
