"""What the API finds out, as types: of requests that came to a bin, of a receiver, of an installation.

Fields a newer server adds are ignored.
"""

from datetime import datetime
from uuid import UUID

import msgspec


class Bin(msgspec.Struct, frozen=True):
    """A request bin. `url`: where it takes any request, and below.

    Attributes:
        status, delay_seconds, body, content_type: What it answers.
        profile, signature: What requests should be signed by; None: they are not verified, or by the rules of `webhook_id`.
        has_secret: It has a secret of its own to verify with.
        request_count: How many ever came: the number of the newest.
        refused_count: How many did not, because more came than it takes in a second.
    """

    id: UUID
    name: str
    url: str
    status: int
    delay_seconds: float
    body: str
    content_type: str
    has_secret: bool
    request_count: int
    refused_count: int
    created_at: datetime
    updated_at: datetime
    used_at: datetime
    profile: str | None = None
    signature: dict[str, str] | None = None
    webhook_id: UUID | None = None


class Verdict(msgspec.Struct, frozen=True):
    """Whether a request is signed as expected, and why. `seconds_off`: how long before it came it was signed."""

    is_verified: bool
    reason: str
    sentence: str
    seconds_off: float | None = None


class CaughtRequest(msgspec.Struct, frozen=True):
    """A request that came to a bin. Its body is in `body` when it is text, else in `body_base64`.

    Attributes:
        headers: Name and value of each, in their order.
        body_bytes: How much of the body was read; `is_truncated`: more came than is kept.
        status: What it was answered with.
    """

    number: int
    received_at: datetime
    method: str
    path: str
    headers: list[tuple[str, str]]
    body_bytes: int
    is_truncated: bool
    address: str
    status: int
    verdict: Verdict
    body: str | None = None
    body_base64: str | None = None


class FindingLine(msgspec.Struct, frozen=True):
    """A line to change in a receiver. `where`: the framework, program or file that it is for."""

    where: str
    code: str


class Finding(msgspec.Struct, frozen=True):
    """One thing that is wrong with a receiver, in a sentence with the remedy.

    Attributes:
        name: For programs: it stays the same.
        level: `error`: deliveries are refused or lost; `warning` or `note`: they are taken.
        lines: To change, those of what the receiver seems to be written in first.
    """

    name: str
    level: str
    sentence: str
    lines: list[FindingLine]


class ProbeAnswer(msgspec.Struct, frozen=True):
    """A request that was sent to find out, and what came of it. `sent`: what it was; `bytes`: of a body that was made large."""

    probe: str
    sent: str
    total_ms: float
    bytes: int | None = None
    response_status: int | None = None
    response_body: str | None = None
    error: str | None = None


class Diagnosis(msgspec.Struct, frozen=True):
    """What was found out about a webhook's receiver.

    Attributes:
        verdict: The name of the worst finding, or `healthy`.
        is_taking: Deliveries are taken.
        framework: What it seems to be written in; None: it does not say.
    """

    verdict: str
    sentence: str
    is_taking: bool
    findings: list[Finding]
    probes: list[ProbeAnswer]
    framework: str | None = None


class Problem(msgspec.Struct, frozen=True):
    """Something that is wrong with an installation, in a sentence with the remedy. `is_fatal`: nothing is delivered."""

    name: str
    sentence: str
    is_fatal: bool


class Examined(msgspec.Struct, frozen=True):
    """All that is wrong with an installation, what stops deliveries first, and what was looked at."""

    problems: list[Problem]
    looked_at: list[str]
