"""What the types of the API are called for those who make clients of it, which texts are one of a few words, and what shape
the open ones have.

Tables, for `shaping.py`. A field is named by its type as the code has it: `DeliveryView.status`; `[]` stands for the items of
a list. Tests hold them against the document: what names no type or field fails.
"""

from typing import Any, Final

from tidings.core import audit_chain, erasure, job
from tidings.core.audit import Who
from tidings.core.claims import Reason
from tidings.core.credentials import SENDS
from tidings.core.customers import Access
from tidings.core.delivery import State
from tidings.core.filters import OPERATIONS
from tidings.core.health import Standing
from tidings.core.notice import PLATFORMS
from tidings.core.outcome import FAILURES
from tidings.core.roles import Role
from tidings.core.scopes import Scope
from tidings.core.statistics import STEPS
from tidings.core.vocabulary import CONTENT_ACTIONS
from tidings.core.webhook import METHODS
from tidings.operations.listening import results
from tidings.profiles import PROFILES

# Types whose name in the code says too little, or the wrong thing, outside it. Else `View` is taken off.
NAMES: Final = {
    "ApiKeyChange": "ApiKeyUpdate", "AttemptTold": "ListenerResult", "CaptureChange": "TableSettings",
    "CaughtView": "BinRequest", "Count": "ErasureCount", "DiagnosisView": "ReceiverDiagnosis", "Ending": "TestOutcome",
    "ErasureBody": "ErasureCreate", "EventExplained": "EventExplanation", "EventTypeChange": "EventTypePut",
    "ExaminedView": "Diagnosis", "FaultView": "SettingFault", "Field": "CollectionField",
    "FilterExplained": "FilterExplanation", "HealthView": "WebhookHealth", "HeardEvent": "DryRunEvent",
    "JobPage": "CronJobPage", "JobView": "CronJob", "JudgementView": "EgressJudgement", "KeyRotation": "SigningKeyRotation",
    "Kind": "ProbeKind", "Level": "FindingLevel", "LimitsChange": "LimitsUpdate", "LineView": "FindingLine",
    "ListenerAsked": "ListenerCreate", "LogEntry": "VskiLogEntry", "Logs": "VskiLogPage", "MadeApiKey": "ApiKeyCreated",
    "MadePortalLink": "PortalLinkCreated", "MemberRoleInput": "MemberUpdate", "NarrowingBody": "EgressNarrowing",
    "NewApiKey": "ApiKeyCreate", "NewBackfill": "BackfillCreate", "NewEvent": "EventCreate", "NewGroup": "GroupCreate",
    "NewMember": "MemberCreate", "NewPortalLink": "PortalLinkCreate", "ObjectView": "IntegrationObject",
    "Point": "StatisticsPoint", "PreviewBody": "PreviewRequest", "RecoverBody": "RecoveryCreate",
    "RedactionPreviewAsked": "RedactionPreviewRequest", "ResultsAsked": "ListenerResults", "RetryBody": "RetryRequest",
    "Rotation": "SecretRotation", "RuleView": "RedactionRule", "RunView": "CronRun", "SecretView": "WebhookSecret",
    "Session": "AuthSession", "Settings": "IntegrationSettings", "Shown": "PreviewedEvent", "SubjectBody": "ErasureSearch",
    "SyncBody": "IntegrationSync", "TakeAsked": "ListenerTake", "TestBody": "WebhookTest", "UrlToJudge": "EgressQuestion",
    "Verdict": "SignatureVerdict", "Version": "WebhookVersion", "Warned": "Warning", "WebhookExplained": "WebhookExplanation",
    # what one type is in the code and two are here (`SPLIT`): for changes
    "BinChange": "BinUpdate", "CollectionChange": "CollectionUpdate", "IntegrationChange": "IntegrationUpdate",
    "JobChange": "CronJobUpdate", "RuleChange": "RedactionRuleUpdate", "VskiChange": "VskiWebhookUpdate",
    "WebhookChange": "WebhookUpdate",
}  # fmt: skip

_SENT_BACK: Final = (
    "id", "created_at", "updated_at", "disabled_reason", "managed_by", "fault", "tables", "health", "message", "profile_reason",
    "warnings",
    "is_active", "active", "scope",
)  # fmt: skip

# What is taken, and told to nobody who makes a client: what is read may be sent back as it was, and other systems' names.
HIDDEN: Final[dict[str, tuple[str, ...]]] = {
    "WebhookChange": _SENT_BACK,
    "PreviewBody": _SENT_BACK,
    "VskiChange": ("id", "created", "updated"),
    "CollectionChange": ("fields",),
    "JobChange": ("enabled",),
}


class Creation:
    """How a type is when something is made of it: its name, what has to be said, and what only a change may say."""

    def __init__(self, name: str, required: tuple[str, ...], without: tuple[str, ...] = ()) -> None:
        self.name, self.required, self.without = name, required, without


SPLIT: Final[dict[str, Creation]] = {
    "WebhookChange": Creation("WebhookCreate", ("url", "events"), ("version",)),
    "BinChange": Creation("BinCreate", ()),
    "CollectionChange": Creation("CollectionCreate", ("name",), ("drop",)),
    "IntegrationChange": Creation("IntegrationCreate", ("name", "platform")),
    "JobChange": Creation("CronJobCreate", ("name", "schedule")),
    "RuleChange": Creation("RedactionRuleCreate", ("events",)),
    "VskiChange": Creation("VskiWebhookCreate", ("url",)),
}

SOURCES: Final = ("tables", "collections", "cron", "integrations", "publish", "tidings")
TABLE_STATES: Final = ("captured", "waiting", "missing", "disabled", "stopped", "unwanted", "left")
BACKFILL_STATES: Final = ("running", "finished", "cancelled")

# Name of the words, the words, and the fields and parameters that are one of them.
WORDS: Final[dict[str, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    "DeliveryStatus": (tuple(State), ("DeliveryView.status", "WebhookExplained.status", "?status[]")),
    "Profile": (
        tuple(PROFILES),
        ("WebhookView.profile", "WebhookChange.profile", "PreviewBody.profile", "Preview.profile", "Listener.profile",
         "ListenerAsked.profile", "DryRunView.profile", "WebhookExplained.profile", "BinChange.profile", "BinView.profile"),
    ),
    "Operation": (
        OPERATIONS,
        ("EventView.operation", "HeardEvent.operation", "SetAsideView.operation", "TableView.operations[]"),
    ),
    "Source": (SOURCES, ("EventView.source", "HeardEvent.source", "SetAsideView.source")),
    "Method": (
        METHODS,
        ("WebhookView.method", "WebhookChange.method", "PreviewBody.method", "Preview.method", "Leased.method"),
    ),
    "Failure": (FAILURES, ("?failure[]", "DeliveryView.failure", "AttemptView.failure")),
    "ListenerFailure": (results.FAILURES, ("AttemptTold.failure",)),
    "HealthState": (tuple(Standing), ("HealthView.state",)),
    "TableCaptureState": (TABLE_STATES, ("TableState.state", "TableView.state")),
    "BackfillState": (BACKFILL_STATES, ("BackfillView.state",)),
    "RecoveryState": (tuple(job.State), ("RecoveryView.state",)),
    "ErasureState": (tuple(job.State), ("ErasureView.state",)),
    "ErasurePending": (tuple(erasure.Pending), ("ErasureView.pending", "ErasureBody.pending")),
    "Platform": (PLATFORMS, ("IntegrationView.platform", "IntegrationChange.platform")),
    "SignatureReason": (tuple(Reason), ("Verdict.reason",)),
    "AuditFaultKind": (tuple(audit_chain.Kind), ("AuditFault.kind",)),
    "ActorKind": (tuple(Who), ("AuditEntry.who",)),
    "Scope": (tuple(Scope), ("NewApiKey.scopes[]", "MadeApiKey.scopes[]", "ApiKeyView.scopes[]")),
    "Role": (tuple(Role), ("NewMember.role", "MemberRoleView.role")),
    "PortalAccess": (tuple(Access), ("NewPortalLink.access", "PortalLinkView.access", "MadePortalLink.access")),
    "KeptResponses": (
        ("full", "scrubbed", "none"),
        ("RuleView.responses", "RuleChange.responses", "RedactionPreview.responses"),
    ),
    "Step": (tuple(STEPS), ("Statistics.step", "?step")),
    "SignatureFormat": (("hex", "sha256=hex", "base64", "t=,v1="), ("Signature.format", "Settings.format")),
    "SigningKeyState": (("signing", "next", "before"), ("SigningKeyView.state",)),
}  # fmt: skip


def _ref(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}


def _or_null(*schemas: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [*schemas, {"type": "null"}]}


def _object(said: str, required: tuple[str, ...] = (), **properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object", "description": said, "properties": properties, "required": list(required),
        "additionalProperties": False,
    }  # fmt: skip


def _text(said: str, **more: Any) -> dict[str, Any]:
    return {"type": "string", "description": said, **more}


def _number(said: str, **more: Any) -> dict[str, Any]:
    return {"type": "number", "description": said, **more}


_JITTER: Final = _number("Each delay is longer by up to this share.", minimum=0, maximum=1)

# Types that the code reads by itself, since it says of each what is wrong with it.
MADE: Final[dict[str, dict[str, Any]]] = {
    "TableFilter": _object(
        "Changes of one table, or with `*` of every table that is captured.",
        ("table",),
        table=_text("The table, or `*`.", examples=["orders"]),
        schema={**_or_null({"type": "string"}), "description": "Its schema; `public` when it is left out."},
        operations={
            "type": "array", "items": {"type": "string", "enum": [*OPERATIONS, "*"]}, "description": "All when left out.",
        },
    ),
    "CollectionFilter": _object(
        "What is done to the records of one collection.",
        ("collection",),
        collection=_text("The collection.", examples=["posts"]),
        actions={
            "type": "array", "items": {"type": "string", "enum": [*CONTENT_ACTIONS, "*"]}, "description": "All when left out.",
        },
    ),
    "Record": {"type": "object", "description": "A record, with all its fields.", "additionalProperties": True},
    "EventFilter": {
        "description": "A type such as `order.paid`, a family `order.*`, `*` for everything; or a table, or a collection.",
        "anyOf": [{"type": "string", "examples": ["order.paid"]}, _ref("TableFilter"), _ref("CollectionFilter")],
    },
    "RetryDelays": _object(
        "The seconds between one attempt and the next; after the last the delivery has failed.",
        ("delays",),
        delays={
            "type": "array", "items": {"type": "number", "minimum": 0}, "maxItems": 100, "examples": [[5, 300, 1800]],
            "description": "In seconds; empty: it is tried once.",
        },
        jitter=_JITTER,
    ),
    "RetryBackoff": _object(
        "`base * factor**(n-1)` seconds after attempt n, at most `max`; `tries` attempts in all.",
        ("base",),
        base=_number("Seconds after the first attempt.", examples=[5]),
        factor=_number("By which each delay is longer than the one before; 2 when left out."),
        max=_number("Seconds at most; 86400 when left out."),
        tries={"type": "integer", "minimum": 1, "maximum": 101, "description": "10 when left out."},
        jitter=_JITTER,
    ),
    "RetryPolicy": {"description": "When to try again.", "anyOf": [_ref("RetryDelays"), _ref("RetryBackoff")]},
    "SignatureSettings": _object(
        "A signature that is sent instead of the profile's own.",
        ("header",),
        header=_text("The header's name.", examples=["X-Signature"]),
        format={**_ref("SignatureFormat"), "description": "`hex` when left out."},
    ),
    "ClientCertificate": _object(
        "A certificate that the receiver asks for.",
        ("certificate", "key"),
        certificate=_text("The certificate and its chain, in PEM form."),
        key=_text("Its private key, in PEM form. It is never shown again."),
    ),
    "BasicAuth": _object(
        "Name and password.",
        ("type", "username", "password"),
        type=_text("`basic`.", const="basic"),
        username=_text("The name."),
        password=_text("The password. It is never shown again."),
    ),
    "OAuth2Auth": _object(
        "A token of the receiver's provider, got with the client's own credentials.",
        ("type", "token_url", "client_id", "client_secret"),
        type=_text("`oauth2`.", const="oauth2"),
        token_url=_text("Where the provider gives tokens: https."),
        client_id=_text("The client."),
        client_secret=_text("Its secret. It is never shown again."),
        scope=_text("What the token is asked for."),
        audience=_text("For whom the token is."),
        sends={"type": "string", "enum": list(SENDS), "description": "Where client and secret stand; `header` when left out."},
    ),
}  # fmt: skip

_FILTERS: Final = {"type": "array", "items": _ref("EventFilter")}
_CREDENTIALS: Final = _or_null(_ref("BasicAuth"), _ref("OAuth2Auth"))

# Fields that are open in the code, and what may stand in them.
SHAPES: Final[dict[str, dict[str, Any]]] = {
    **{
        f"{type_}.{name}": shape
        for type_ in ("WebhookChange", "PreviewBody")
        for name, shape in {
            "events": {**_FILTERS, "minItems": 1},
            "retry": _ref("RetryPolicy"),
            "signature": _or_null(_ref("SignatureSettings")),
            "client_certificate": _or_null(_ref("ClientCertificate")),
            "auth": _CREDENTIALS,
            "ca_certificates": {"type": ["string", "null"]},
        }.items()
    },
    "WebhookView.events": _FILTERS,
    "WebhookView.retry": _ref("RetryPolicy"),
    "Listener.events": _FILTERS,
    "VskiWebhook.events": _FILTERS,
    "VskiChange.events": {**_FILTERS, "minItems": 1},
    "BinChange.signature": _or_null(_ref("SignatureSettings")),
}
