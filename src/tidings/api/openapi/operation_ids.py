"""What each operation is called by a generated client: short, and the same for good.

It is the name of the handler, in camel case, unless this table says otherwise. `sdk/operation-ids.json` keeps what they were
called once; a test refuses another name for any of them.
"""

from typing import Any, Final

from litestar.handlers.http_handlers import HTTPRouteHandler
from litestar.types import Method
from litestar.types.internal_types import PathParameterDefinition

# Where the handler's name tells too little beside those of other routes.
_NAMES: Final = {
    "PATCH /api/v1/webhooks/{webhook_id}": "updateWebhook",
    "GET /api/v1/webhooks/{webhook_id}/secret": "getWebhookSecret",
    "POST /api/v1/webhooks/{webhook_id}/secret/rotate": "rotateWebhookSecret",
    "POST /api/v1/webhooks/{webhook_id}/test": "testWebhook",
    "GET /api/v1/webhooks/{webhook_id}/versions": "listWebhookVersions",
    "POST /api/v1/webhooks/preview": "previewWebhookDraft",
    "POST /api/v1/webhooks/dry-run": "dryRunWebhookDraft",
    "GET /api/v1/deliveries/{delivery_id}/attempts": "listDeliveryAttempts",
    "GET /api/v1/deliveries/{delivery_id}/attempts/{number}": "getDeliveryAttempt",
    "POST /api/v1/listeners": "createListener",
    "POST /api/v1/listeners/{listener_id}/skip": "skipListenerDeliveries",
    "POST /api/v1/listeners/{listener_id}/take": "takeListenerDeliveries",
    "POST /api/v1/listeners/{listener_id}/results": "recordListenerResults",
    "POST /api/v1/erasures": "createErasure",
    "PATCH /api/v1/redaction-rules/{rule_id}": "updateRedactionRule",
    "GET /api/v1/set-aside/settings": "listSetAsideSettings",
    "POST /api/v1/set-aside/settings/{kind}/{setting_id}/retry": "retrySetAsideSetting",
    "DELETE /api/v1/set-aside/settings/{kind}/{setting_id}": "discardSetAsideSetting",
    "DELETE /api/v1/set-aside/{number}": "discardSetAside",
    "POST /api/v1/set-aside/{number}/route": "routeSetAside",
    "PATCH /api/v1/bins/{bin_id}": "updateBin",
    "PATCH /api/v1/keys/{key_id}": "updateKey",
    "GET /api/v1/diagnosis": "getDiagnosis",
    "PATCH /api/v1/members/{member_id}": "updateMember",
    "PATCH /api/v1/limits": "updateDefaultLimits",
    "PATCH /api/v1/groups/{group_id}/limits": "updateGroupLimits",
    "PUT /api/v1/groups/{group_id}/egress": "putGroupEgress",
    "PATCH /api/v1/collections/{collection}": "updateCollection",
    "PATCH /api/v1/collections/{collection}/records": "updateRecords",
    "PATCH /api/v1/collections/{collection}/records/{record_id}": "updateRecord",
    "GET /api/v1/integrations/{name}/objects": "listIntegrationObjects",
    "PATCH /api/v1/integrations/{name}": "updateIntegration",
    "GET /api/v1/cron": "listCronJobs",
    "POST /api/v1/cron": "createCronJob",
    "GET /api/v1/cron/{job_id}": "getCronJob",
    "PATCH /api/v1/cron/{job_id}": "updateCronJob",
    "DELETE /api/v1/cron/{job_id}": "deleteCronJob",
    "POST /api/v1/cron/{job_id}/run": "runCronJob",
    "GET /api/v1/cron/{job_id}/runs": "listCronRuns",
    "POST /in/{name}": "receiveNotice",
    "GET /.well-known/jwks.json": "getJwks",
    "GET /healthz": "getHealth",
    "GET /readyz": "getReadiness",
    "GET /metrics": "getMetrics",
}


def operation_id(handler: HTTPRouteHandler, method: Method, components: list[str | PathParameterDefinition]) -> str:
    """Return what an operation is called. What VSKI's clients call under `/api/` begins with `vski`."""
    parts = [component if isinstance(component, str) else f"{{{component.name}}}" for component in components]
    is_vskis = parts[:1] == ["api"] and parts[1:2] != ["v1"]
    ours = ["api", "v1", *parts[1:]] if is_vskis else parts
    verb = str(getattr(method, "value", method))
    name = _NAMES.get(f"{verb} /{'/'.join(ours)}") or _camel(str(handler.handler_name))
    return f"vski{name[:1].upper()}{name[1:]}" if is_vskis else name


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return "".join([first, *(word.capitalize() for word in rest)])


def summary_of(name: Any) -> str:
    """Return an operation's name in words."""
    text = "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in str(name).removeprefix("vski"))
    return f"{text.strip().capitalize()}{' (VSKI)' if str(name).startswith('vski') else ''}"
