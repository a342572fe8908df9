"""What is said of a receiver, each with the remedy: by what probes tell, by status, by how a connection failed."""

from enum import StrEnum
from typing import Final

import msgspec

from tidings.core.probes import Kind

PROBES: Final = {
    Kind.PRESENT: "as a delivery is",
    Kind.FORGED: "signed by a stranger",
    Kind.FORGED_AGAIN: "signed by a stranger, once more",
    Kind.PRESENT_AGAIN: "as a delivery is, once more",
    Kind.PRESENT_LAST: "as a delivery is, a third time",
    Kind.REWRITTEN: "the same JSON with other spaces",
    Kind.SPACED: "the same JSON as Python's json.dumps writes it",
    Kind.EMPTY: "the body {}",
    Kind.EMPTY_FORGED: "the body {}, signed by a stranger",
    Kind.STALE: "signed a day ago",
    Kind.SHIFTED: "signed at the time that its own clock shows",
    Kind.MILLISECONDS: "with its time in milliseconds",
    Kind.TEXT_KEY: "signed by the text of the secret",
    Kind.OLD_SECRET: "signed by the secret from before",
    Kind.LARGE: "with a large body",
}


class Level(StrEnum):
    """How bad a finding is."""

    ERROR = "error"  # deliveries are refused, or lost
    WARNING = "warning"  # they are taken; somebody can be deceived, or some deliveries fail
    NOTE = "note"


class Said(msgspec.Struct, frozen=True):
    """What is said of one fault. `name`: a stable word for programs."""

    name: str
    sentence: str
    level: Level = Level.ERROR

    def of(self, *values: object) -> "Said":
        """Return it with values where its sentence has places for them."""
        return Said(self.name, self.sentence.format(*values), self.level)


_FEWER: Final = "Give the webhook a rate_per_second that it can take."
_LET_THROUGH: Final = "Let this path through without signing in: the signature says who sends."
_BYTES: Final = "Verify the bytes as they came, before anything parses them."
_COPY: Final = "Copy the present one into it (Secrets in the portal, or tidings webhooks secret ID), whole and without spaces, and restart it."
_NTP: Final = "Set its clock by NTP; or it takes local time for UTC."

CLOCK: Final = Said(
    "clock", "{} It refuses what is signed now and takes what is signed at the time its own clock shows. " + _NTP
)
CLOCK_SAYS: Final = Said("clock", "{} " + _NTP)
CLOCK_SOON: Final = Said("clock", "{} It takes deliveries still; set its clock by NTP before it does not.", Level.WARNING)
MILLISECONDS: Final = Said(
    "milliseconds", "It takes the time of the signature for milliseconds; it is in seconds. Compare it with seconds."
)
REWRITES_AS_PYTHON: Final = Said(
    "reserialized",
    "Its secret is right, and it verifies what json.dumps makes of the parsed body instead of the bytes that came. " + _BYTES,
)
REWRITES: Final = Said(
    "reserialized",
    "Its secret is right, and it verifies what it wrote anew from the parsed body instead of the bytes that came. " + _BYTES,
)
REWRITES_BUT_TAKES: Final = Said(
    "reserialized",
    "It verifies what it wrote anew from the parsed body: the same JSON with other spaces is refused. Deliveries pass because Tidings writes JSON as "
    "JSON.stringify does; a number or letter that its language writes in another way makes one fail. " + _BYTES,
    Level.WARNING,
)
TEXT_AS_KEY: Final = Said(
    "secret_text",
    "It has the right secret and uses its text as the key. The key is what stands behind whsec_, decoded from base64.",
)
OLD: Final = Said(
    "old_secret",
    "It still has the secret from before it was changed. " + _COPY + " Rotate with an overlap that is long enough next time.",
)
WRONG: Final = Said(
    "wrong_secret",
    "It answers HTTP {} to what this webhook signs as to what a stranger signs: it has another secret, or does not find the signature. "
    + _COPY,
)
HANDLER: Final = Said(
    "handler",
    "It answers HTTP {} to what this webhook signs and {} to what a stranger signs: it verifies the signature, and what comes after that fails. Look into "
    "its log; answer 2xx to types that it does not know, such as webhook.test.",
)
TAKEN_LATER: Final = Said(
    "unsteady",
    "It refused what a delivery is, and took the same a moment later: it answers now so and now so. Look into its log; several machines may answer, not all "
    "with the same secret or of the same version.",
)
UNSTEADY: Final = Said(
    "unsteady",
    "It refused what this webhook signs and took what a stranger signs: it answers now so and now so. Look into its log; several machines may answer, not "
    "all of the same version.",
)
AUTHENTICATION: Final = Said(
    "authentication",
    "It answers HTTP {} and wants credentials of its own before any signature is looked at. "
    + _LET_THROUGH
    + " Or give the webhook the header that it wants.",
)
FAILING: Final = Said(
    "failing",
    "It answers HTTP {} to whatever comes, signed rightly or not. Look into its log: it breaks before or while it verifies.",
)
CSRF: Final = Said(
    "csrf",
    "It wants the token of a form (CSRF), which only its own pages have. Exempt this path; the signature takes the token's place.",
)
LOGIN_PAGE: Final = Said(
    "login_page", "It answers 2xx with a page to sign in, to a forged delivery too: deliveries are lost there. " + _LET_THROUGH
)
LOGIN_ELSEWHERE: Final = Said(
    "login_page", "It sends to {}, where people sign in: something in front of it wants a person. " + _LET_THROUGH
)
WEB_PAGE: Final = Said(
    "web_page",
    "It answers 2xx with a web page, to a forged delivery too: deliveries are lost there. Enter the address of the receiver, not of the site.",
)
NOT_VERIFIED: Final = Said(
    "not_verified",
    "It took a delivery that a stranger signed: it does not verify, so anybody can tell it anything. Verify the signature before anything else.",
    Level.WARNING,
)
UNSIGNED: Final = Said(
    "unsigned",
    "Nothing of these deliveries is signed, so the receiver cannot tell who sends. Choose a profile that signs, or jwt_enabled.",
    Level.NOTE,
)
REPLAYS: Final = Said(
    "replays",
    "It took a delivery that was signed a day ago, so whoever has seen one can send it again. Refuse what is older than five minutes.",
    Level.WARNING,
)
SLOW: Final = Said(
    "slow",
    "It answered after {:.3g} s, and the webhook's timeout is {:g} s. Answer at once and do the work afterwards, or raise timeout_seconds.",
    Level.WARNING,
)
SLOWED_DOWN: Final = Said(
    "rate_limit", "It asked for fewer requests while it was examined, so not all could be found out. " + _FEWER, Level.WARNING
)
HUGE_BODY: Final = Said(
    "body_limit",
    "It refuses a body of {:,} bytes and takes one of {:,}: nginx's limit is 1 MiB. That is enough unless rows or events of yours are larger.",
    Level.NOTE,
)
LARGE_BODY: Final = Said(
    "body_limit",
    "It refuses a body of {:,} bytes{} Raise the limit of the body's size; until then deliveries of large rows and events fail.",
    Level.WARNING,
)
UNANSWERED_BODY: Final = Said(
    "large_unanswered",
    "It does not answer a body of {:,} bytes in time, and answers smaller ones{} Something on the way may drop large packets or bodies: look at the firewall, "
    "the proxy and the MTU. Until then deliveries of large rows and events fail.",
    Level.WARNING,
)
PAUSED: Final = Said(
    "paused", "The webhook is paused or disabled: it is sent nothing but tests until it is resumed.", Level.NOTE
)
REDIRECT: Final = Said("redirect", "It sends to {}. {} Deliveries follow no redirects: make that the webhook's URL.")
REDIRECT_NOWHERE: Final = Said(
    "redirect", "It answers HTTP {} and does not say where to. Enter the final address as the webhook's URL."
)
OTHER_FAILURE: Final = Said("not_http", "Look at what listens there.")

BY_STATUS: Final[dict[int, Said]] = {
    404: Said(
        "not_found",
        "It answers HTTP 404: there is nothing at this path. Compare the URL with the route, its prefix and a slash at its end.",
    ),
    405: Said(
        "method_not_allowed",
        "It answers HTTP 405: the path is there and takes another method. Take POST there, or change the webhook's method.",
    ),
    407: Said("authentication", "A proxy wants credentials (HTTP 407). Let these requests through it."),
    410: Said(
        "gone",
        "It answers HTTP 410, that it is gone for good: a delivery that hears it disables the webhook. Enter its new address.",
    ),
    411: Said("length_required", "It answers HTTP 411 although the length is told: something between takes it away."),
    413: Said("body_limit", "It answers HTTP 413 to a body of some hundred bytes. Raise the limit of the body's size."),
    414: Said("url_too_long", "It answers HTTP 414: the URL is longer than it takes."),
    415: Said(
        "media_type",
        "It answers HTTP 415: it does not take application/json, or what the webhook's own Content-Type says. Take it, or change that header.",
    ),
    421: Said(
        "not_found",
        "It answers HTTP 421: this server does not serve this host name. Compare the URL with its certificate and its names.",
    ),
    426: Said("protocol_version", "It answers HTTP 426: it wants another protocol than HTTP/1.1. Let HTTP/1.1 through."),
    429: Said("rate_limit", "It answers HTTP 429: it gets more than it allows. " + _FEWER + " Or let this sender through."),
    431: Said(
        "headers_too_large", "It answers HTTP 431: the headers are longer than it takes. Shorten the webhook's own headers."
    ),
    494: Said(
        "headers_too_large", "It answers HTTP 494: the headers are longer than nginx takes. Shorten the webhook's own headers."
    ),
    502: Said(
        "upstream",
        "It answers HTTP 502: what stands in front cannot reach the receiver. Start the receiver, or mend the address that the proxy has.",
    ),
    503: Said(
        "upstream",
        "It answers HTTP 503: the receiver is not running, or has too much to do. Start it, or give the webhook a rate_per_second.",
    ),
    504: Said(
        "upstream",
        "It answers HTTP 504: what stands in front waits in vain for the receiver. Answer at once and do the work afterwards.",
    ),
    511: Said(
        "authentication", "It answers HTTP 511: a network wants somebody to sign in first. Let this machine out without it."
    ),
}

# After the sender's own sentence. Of a timeout: by how that begins, which tells what was waited for.
BY_PHASE: Final = {
    "No answer from DNS": Said(
        "dns", "Look at the resolver of this machine (/etc/resolv.conf) and the name servers of the domain."
    ),
    "No connection to": Said(
        "firewall", "Nothing comes back, as behind a firewall: let this machine's address in there, and out here."
    ),
    "No TLS handshake": Said(
        "tls_silent",
        "Something listens and speaks no TLS there, or a firewall drops what is large. Compare port and scheme of the URL.",
    ),
    "The receiver did not": Said(
        "silent", "It was reached: it hangs, or works too long. Answer at once and do the work afterwards."
    ),
}
BY_FAILURE: Final = {
    "dns": Said("dns", "Compare the name in the URL; a name that is known inside alone needs a resolver that knows it."),
    "connect": Said(
        "refused", "The machine answers, and nobody listens at that port: start the receiver, or correct the port."
    ),
    "reset": Said(
        "reset",
        "Something takes the connection and cuts it, as a firewall does, a load balancer without a target, or a server that breaks. Look into their logs.",
    ),
    "protocol": Said(
        "not_http", "What listens there does not speak HTTP, or speaks TLS at an http:// URL. Compare port and scheme."
    ),
    "too_large": Said("not_http", "That is no answer of a receiver. Compare the URL."),
    "address_refused": Said(
        "address_refused",
        "Tidings keeps to public addresses unless its operator allows others. Use a public address, or have it allowed.",
    ),
    "token": Said(
        "token",
        "The receiver was not asked. Compare auth of the webhook with what the endpoint of tokens wants, and ask it there.",
    ),
    "proxy": Said("ours", "The receiver was not reached: the proxy that this installation goes out by stands between."),
    "exhausted": Said("ours", "That is this machine's fault and not the receiver's: run tidings doctor."),
    "stopped": Said("ours", "Tidings was stopping: ask again."),
    "internal": Said("ours", "That is a fault of Tidings: see its log."),
    "render": Said("ours", "The delivery cannot be written: see the webhook's body_template."),
}
_OTHER_NAME: Final = Said("certificate_name", "The certificate is for another name: get one for the name in the URL.")
_SELF_SIGNED: Final = Said(
    "certificate_untrusted",
    "Use a certificate of a public authority, such as Let's Encrypt, or give the webhook the authority as ca_certificates.",
)
_NO_TLS: Final = Said("not_tls", "It does not speak TLS at that port. Compare port and scheme of the URL.")
_OLD_TLS: Final = Said(
    "tls_version", "It speaks no TLS that is safe still, or wants another name: turn TLS 1.2 and 1.3 on there."
)
TLS_OTHER: Final = Said("tls", "Look at the certificate and the TLS settings there: openssl s_client -connect HOST:PORT.")
_NO_CERTIFICATE: Final = Said(
    "client_certificate",
    "It lets in those alone who show a certificate that it knows: give the webhook a client_certificate of theirs.",
)
# By what OpenSSL says, in lower case with blanks.
BY_TLS: Final = {
    "certificate required": _NO_CERTIFICATE,
    "alert bad certificate": _NO_CERTIFICATE,
    "alert unknown ca": _NO_CERTIFICATE,
    "alert handshake failure": _OLD_TLS,
    "expired": Said("certificate_expired", "Renew the certificate there."),
    "not yet valid": Said(
        "certificate_expired", "The certificate's time has not come: look at it, and at the clock of this machine."
    ),
    "self-signed": _SELF_SIGNED,
    "self signed": _SELF_SIGNED,
    "unable to get local issuer": Said(
        "certificate_untrusted", "The server sends no chain to a known authority: install fullchain.pem, not cert.pem alone."
    ),
    "mismatch": _OTHER_NAME,
    "not valid for": _OTHER_NAME,
    "wrong version number": _NO_TLS,
    "record layer failure": _NO_TLS,
    "packet length": _NO_TLS,
    "protocol": _OLD_TLS,
    "handshake failure": _OLD_TLS,
}
