"""Django, in one file. pip install django tidings; WEBHOOK_SECRET=whsec_… python django_app.py"""

import os
import sys

from django.conf import settings
from django.core.management import execute_from_command_line
from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from tidings import verify
from tidings.client import VerificationError


@csrf_exempt  # a webhook has a signature, not a form's token
@require_POST
def receive(request: HttpRequest) -> HttpResponse:
    try:
        event = verify(request.body, request.headers, os.environ["WEBHOOK_SECRET"])
    except VerificationError as error:
        return HttpResponse(str(error), status=401)
    print(event["type"], event["data"])  # repeats have the same webhook-id header
    return HttpResponse(status=204)


urlpatterns = [path("webhooks", receive)]

if __name__ == "__main__":
    settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], SECRET_KEY="only-an-example", DEBUG=False)  # noqa: S106
    execute_from_command_line([sys.argv[0], "runserver", "--noreload", os.environ.get("PORT", "8000")])
