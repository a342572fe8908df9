"""The lines that mend a receiver, by what is wrong and by what it is written in."""

from collections.abc import Callable
from typing import Final

import msgspec


class Line(msgspec.Struct, frozen=True):
    """A line to change. `where`: the framework, program or file that it is for."""

    where: str
    code: str


_RAW: Final = (
    Line("Express", 'app.post("/webhooks", express.raw({ type: "application/json" }), handler) // before express.json(); verify req.body'),
    Line("Next.js", "const body = await request.text(); // not request.json()"),
    Line("Hono", "const body = await c.req.text(); // not c.req.json()"),
    Line("FastAPI", "body = await request.body()  # not a parameter with a model or dict"),
    Line("Flask", "body = request.get_data()  # not request.json"),
    Line("Django", "body = request.body  # not json.loads(request.body), nor request.data"),
    Line("Rails", "body = request.raw_post # not params"),
    Line("PHP", "$body = file_get_contents('php://input'); // not json_encode($data)"),
    Line("Go", "body, err := io.ReadAll(r.Body) // before it is decoded"),
    Line("Spring", "handler(@RequestBody byte[] body, @RequestHeader HttpHeaders headers)"),
)  # fmt: skip
_LIMIT: Final = (
    Line("Express", 'express.raw({ type: "application/json", limit: "20mb" })'),
    Line("nginx", "client_max_body_size 20m;"),
    Line("Apache", "LimitRequestBody 20971520"),
    Line("Django", "DATA_UPLOAD_MAX_MEMORY_SIZE = 20 * 1024 * 1024  # settings.py"),
    Line("Flask", 'app.config["MAX_CONTENT_LENGTH"] = 20 * 1024 * 1024'),
    Line("PHP", "post_max_size = 20M ; php.ini"),
    Line("Spring", "spring.servlet.multipart.max-request-size=20MB\nserver.tomcat.max-swallow-size=20MB"),
)
_CSRF: Final = (
    Line("Django", "@csrf_exempt  # from django.views.decorators.csrf; the signature proves more"),
    Line("Rails", "skip_before_action :verify_authenticity_token # the signature proves more"),
    Line("Laravel", "$middleware->validateCsrfTokens(except: ['webhooks']); // bootstrap/app.php"),
)
_VERIFY: Final = (
    Line("Express", 'const event = verify(req.body, req.headers, process.env.WEBHOOK_SECRET); // from "@tidings/sdk"'),
    Line("FastAPI", 'event = verify(await request.body(), request.headers, os.getenv("WEBHOOK_SECRET"))  # from tidings'),
    Line("Flask", 'event = verify(request.get_data(), request.headers, os.getenv("WEBHOOK_SECRET"))  # from tidings'),
    Line("Django", 'event = verify(request.body, request.headers, os.getenv("WEBHOOK_SECRET"))  # from tidings'),
)
_METHOD: Final = (
    Line("Express", 'app.post("/webhooks", handler) // not app.get'),
    Line("FastAPI", '@app.post("/webhooks")'),
    Line("Flask", '@app.post("/webhooks")  # @app.route allows GET alone unless methods= says more'),
    Line("Django", '@require_http_methods(["POST"])'),
)
_KEY: Final = (
    Line("Express", 'const key = Buffer.from(secret.replace("whsec_", ""), "base64"); // not the text itself'),
    Line("FastAPI", 'key = base64.b64decode(secret.removeprefix("whsec_"))  # not secret.encode()'),
    Line("Go", 'key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))'),
    Line("PHP", "$key = base64_decode(substr($secret, strlen('whsec_')));"),
)
_SECONDS: Final = (
    Line("Express", "Math.abs(Date.now() / 1000 - timestamp) < 300 // Date.now() is in milliseconds"),
    Line("FastAPI", "abs(time() - timestamp) < 300  # from time import time: seconds"),
    Line("Spring", "Math.abs(System.currentTimeMillis() / 1000 - timestamp) < 300"),
)
_TIME: Final = (
    Line("Express", 'if (!(Math.abs(Date.now() / 1000 - req.headers["webhook-timestamp"]) < 300)) return res.sendStatus(401);'),
    Line("FastAPI", 'if abs(time() - int(request.headers["webhook-timestamp"])) > 300: raise HTTPException(401)'),
)
_LATER: Final = (
    Line("Express", "res.sendStatus(204); // then do the work"),
    Line("FastAPI", "background_tasks.add_task(work, event)  # then return"),
)
_CLOCK: Final = (Line("Linux", "timedatectl set-ntp true"),)

LINES: Final[dict[str, tuple[Line, ...]]] = {
    "reserialized": _RAW, "body_limit": _LIMIT, "csrf": _CSRF, "not_verified": _VERIFY, "method_not_allowed": _METHOD,
    "secret_text": _KEY, "milliseconds": _SECONDS, "replays": _TIME, "slow": _LATER, "silent": _LATER, "clock": _CLOCK,
}  # fmt: skip

# What servers say of themselves, in the headers `server` and `x-powered-by`.
_SIGNS: Final = (
    ("express", "Express"), ("next.js", "Next.js"), ("uvicorn", "FastAPI"), ("hypercorn", "FastAPI"), ("werkzeug", "Flask"),
    ("wsgiserver", "Django"), ("gunicorn", "Django"), ("daphne", "Django"), ("phusion", "Rails"), ("puma", "Rails"), ("php", "PHP"),
    ("laravel", "Laravel"), ("nginx", "nginx"), ("openresty", "nginx"), ("apache", "Apache"),
)  # fmt: skip


def framework_of(header: Callable[[str], str]) -> str:
    """Return what a receiver is written in, by the headers of its answer; empty: it does not say."""
    said = f"{header('x-powered-by')} {header('server')}".lower()
    return next((name for sign, name in _SIGNS if sign in said), "")


def lines_for(name: str, framework: str) -> tuple[Line, ...]:
    """Return the lines that mend a fault, those of the framework first."""
    return tuple(sorted(LINES.get(name, ()), key=lambda line: line.where != framework))
