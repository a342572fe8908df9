"""The page on which a webhook is set up or changed: the form on the left, the request it makes on the right."""

from collections.abc import Mapping, Sequence

import msgspec

from tidings.core.customers import Access
from tidings.core.filters import Filter
from tidings.core.retry import retry_count
from tidings.core.webhook import METHODS
from tidings.operations.webhooks.choices import Choices
from tidings.operations.webhooks.previews import Preview
from tidings.operations.webhooks.reach import Reach
from tidings.operations.webhooks.shapes import Choice
from tidings.portal.views import webhook_credentials
from tidings.portal.views.documents import Diff, Document, Headers, document, headers
from tidings.portal.views.dry_run import DryRunView
from tidings.portal.views.lists import Field, Option
from tidings.portal.views.small import Notice, Url, url
from tidings.portal.views.text import Shown, count, visible
from tidings.portal.views.webhook_choices import Offer, offer, offer_published
from tidings.portal.views.webhook_credentials import CredentialsView
from tidings.portal.views.webhook_entries import policy_words
from tidings.portal.views.webhook_form import PROFILE_LABELS, Entered
from tidings.portal.views.webhooks import filter_words
from tidings.profiles import PROFILES, Profile

BY_WHAT_IS_ENTERED = "Choose by what I enter"
_FORMATS = {
    "": "As the profile signs",
    "hex": "HMAC-SHA256 of the body, hex",
    "sha256=hex": "sha256= and HMAC-SHA256 of the body, hex",
    "base64": "HMAC-SHA256 of the body, base64",
    "t=,v1=": "t=…,v1=… over the time and the body",
}
_FOLDED = frozenset({  # fields under More, which is open where one of them says something
    "concurrency", "rate", "ordered", "method", "template", "signature_format", "signature_header", "asymmetric", "jwt",
})  # fmt: skip


class RequestView(msgspec.Struct, frozen=True):
    """The request that would be sent.

    Attributes:
        profile: Which profile was chosen and why; empty: it was said.
        told: Names that nothing is known by.
        error: Why none can be shown.
    """

    method: str = ""
    url: Url | None = None
    headers: Headers | None = None
    body: Document | None = None
    event: Shown = Shown(())
    is_sample: bool = True
    notes: tuple[str, ...] = ()
    profile: Shown | None = None
    told: tuple[Shown, ...] = ()
    error: str = ""


class FormView(msgspec.Struct, frozen=True, kw_only=True):
    """A webhook's form.

    Attributes:
        path: Where it is sent to.
        preview: The path that shows the request as one types.
        diff: What a change changes; None: there is nothing to compare with.
        is_other_profile: Another profile was chosen than the one whose boxes are shown.
        is_more_open: Something stands in the fields that are folded.
        is_reviewed: The change was looked at, and can be saved.
        is_customer: It asks for less: where requests go, what the webhook is called, and what it hears.
        takes_names: Events can be written that no box has.
        kept: What the webhook hears that a customer has no say in.
        notice: What is wrong and belongs to no field.
        cancel: Where one gets to without saving.
        dry: What it would have been sent of the last days, where that was asked.
        credentials: Those that it has; None: none.
        are_credentials_open: Their fields are shown unfolded.
    """

    path: str
    preview: str
    fields: dict[str, Field]
    offer: Offer
    events_error: str
    request: RequestView
    is_new: bool
    profile: str
    version: str
    cancel: str
    is_other_profile: bool = False
    is_more_open: bool = False
    diff: Diff | None = None
    is_reviewed: bool = False
    is_customer: bool = False
    takes_names: bool = True
    kept: tuple[Shown, ...] = ()
    notice: Notice | None = None
    dry: DryRunView | None = None
    credentials: CredentialsView | None = None
    are_credentials_open: bool = False


def form_view(
    form: Entered,
    choices: Choices,
    request: RequestView,
    errors: Mapping[str, str],
    *,
    profile: str,
    webhook_path: str | None,
    diff: Diff | None = None,
    is_reviewed: bool = False,
    dry: DryRunView | None = None,
    access: Access | None = None,
    kept: Sequence[Filter] = (),
    credentials: CredentialsView | None = None,
) -> FormView:
    """Return the form of a webhook.

    Args:
        errors: Of each field of the form, what is wrong; under the empty name what belongs to none.
        profile: That the webhook would have.
        webhook_path: Of the webhook that is changed; None: it is a new one.
        access: What the customer may do whose form it is; None: it is an operator's.
        kept: Events that they have no say in.
        credentials: That the webhook has; None: none.
    """
    path = f"{webhook_path}/edit" if webhook_path else "/webhooks/new"
    is_narrow = access is not None and access is not Access.FULL
    return FormView(
        path=path,
        preview=f"{path}/preview",
        fields={field.name: field for field in _fields(form, errors, profile, credentials, is_new=webhook_path is None)},
        offer=offer_published(choices, form, profile) if is_narrow else offer(choices, form, profile),
        events_error=errors.get("events", ""),
        request=request,
        is_new=webhook_path is None,
        profile=profile,
        version=form.version,
        cancel=webhook_path or "/webhooks",
        diff=diff,
        is_reviewed=is_reviewed and not errors,
        is_more_open=any(errors.get(name) or getattr(form, name) not in _USUAL[name] for name in _FOLDED),
        is_customer=access is not None,
        takes_names=not is_narrow,
        kept=tuple(visible(filter_words(one), limit=200) for one in kept),
        notice=Notice("bad", errors[""]) if errors.get("") else None,
        dry=dry,
        credentials=credentials,
        are_credentials_open=credentials is not None or webhook_credentials.says_something(form, errors),
    )


# What stands in folded fields when there is nothing to see: of a new form, and of a webhook that has the defaults.
_USUAL = {name: {getattr(Entered(), name)} | ({"100"} if name == "concurrency" else set()) for name in _FOLDED}


def _fields(
    form: Entered, errors: Mapping[str, str], profile_name: str, credentials: CredentialsView | None, *, is_new: bool
) -> tuple[Field, ...]:
    profile = PROFILES.get(profile_name, PROFILES["standard"])
    of_credentials = webhook_credentials.fields(
        form,
        is_new=is_new,
        has_certificate=credentials is not None and credentials.certificate is not None,
        has_authorities=credentials is not None and bool(credentials.authorities),
    )
    fields = (*_first_fields(form, is_new=is_new), *_delivery_fields(form, profile), *_folded_fields(form), *of_credentials)
    return tuple(msgspec.structs.replace(field, error=errors.get(field.name, "")) for field in fields)


def _first_fields(form: Entered, *, is_new: bool) -> tuple[Field, ...]:
    options = tuple(Option(name, PROFILE_LABELS.get(name, name), name == form.profile) for name in PROFILES)
    if is_new:
        options = (Option("", BY_WHAT_IS_ENTERED, not form.profile), *options)
    return (
        Field("name", "Name", value=form.name, hint="What you call it in lists.", placeholder="ERP", max_length=200),
        Field(
            "url", "URL", "url", form.url, "Where requests go, such as https://example.com/webhooks.",
            placeholder="https://", is_required=True, is_code=True, check="/webhooks/check",
        ),
        Field("description", "Description", value=form.description, max_length=2000),
        Field("profile", "Profile", "choice", form.profile, "How requests look and are signed: what the receiver expects.",
              options=options),
        Field("more", "Further events by name", "area", form.more,
              "With commas or one a line: order.paid, or a family such as order.*; JSON as the API takes it, too.",
              is_code=True, max_length=20_000),
        Field("headers", "Headers", "area", form.headers, "Sent with each request, one a line; or a JSON object.",
              placeholder="X-Source: shop", is_code=True, max_length=20_000),
        Field("secret", "Secret of your own", "text", form.secret,
              "Left empty, Tidings makes one." if is_new else "Left empty, it stays. Beside a new one it verifies for a day.",
              is_code=True, max_length=500),
    )  # fmt: skip


def _delivery_fields(form: Entered, profile: Profile) -> tuple[Field, ...]:
    policies = (
        Option("profile", f"As the profile says, {count(retry_count(profile.retry), 'time')}", form.retry == "profile"),
        Option("custom", "By delays of my own", form.retry == "custom"),
        Option("growing", "By delays that grow", form.retry == "growing"),
    )
    return (
        Field("retry", "Tries again", "choice", form.retry, f"The profile: {policy_words(profile.retry)}.", options=policies),
        Field("delays", "Delays", value=form.delays, hint="Between one try and the next, with commas. Empty: it is tried once.",
              placeholder="5 s, 5 min, 30 min, 2 h", is_code=True),
        Field("base", "First delay", value=form.base, placeholder="5 s", is_code=True),
        Field("factor", "Then times", value=form.factor, placeholder="2"),
        Field("longest", "At most", value=form.longest, placeholder="1 d", is_code=True),
        Field("tries", "Tries in all", value=form.tries, placeholder="10"),
        Field("jitter", "Jitter", value=form.jitter, hint="Lengthens each delay by up to this share of it.",
              placeholder="0.1"),
        Field("timeout", "Timeout", "text", form.timeout, "Seconds for the whole exchange, at most 300.",
              placeholder=f"{profile.timeout_seconds:g}"),
    )  # fmt: skip


def _folded_fields(form: Entered) -> tuple[Field, ...]:
    methods = tuple(Option(name, name, name == form.method) for name in METHODS)
    formats = tuple(Option(name, label, name == form.signature_format) for name, label in _FORMATS.items())
    return (
        Field("concurrency", "At once", "text", form.concurrency, "How many requests may be under way.", placeholder="100"),
        Field("rate", "Per second", "text", form.rate, "How many may start in a second.", placeholder="no limit"),
        Field("ordered", "One after the other", "check", "true" if form.ordered else "",
              "Keeps the order of events; one that fails holds back those behind it."),
        Field("method", "Method", "choice", form.method, options=methods),
        Field("template", "Body of your own", "area", form.template,
              "JSON with placeholders such as {{record.id}}, instead of the profile's body.",
              placeholder='{"text": "Order {{record.id}} is {{record.status}}"}', is_code=True, max_length=20_000),
        Field("signature_format", "Signature", "choice", form.signature_format, "For receivers that verify another system's.",
              options=formats),
        Field("signature_header", "Header of the signature", value=form.signature_header, placeholder="X-Hub-Signature-256",
              is_code=True, max_length=200),
        Field("asymmetric", "Sign with this installation's key too", "check", "true" if form.asymmetric else "",
              "ed25519, for receivers without the secret; in profiles that sign as Standard Webhooks does."),
        Field("jwt", "Send a token", "check", "true" if form.jwt else "",
              "Authorization: Bearer with a JWT that this installation signs, good for five minutes."),
    )  # fmt: skip


def profile_words(choice: Choice) -> str:
    """Return which profile was chosen for what was entered, and why."""
    label = PROFILE_LABELS.get(choice.profile, choice.profile)
    if choice.signs:
        return f"Profile {label} was chosen: {' and '.join(choice.signs)}."
    if choice.is_by_shape:
        return f"Profile {label} was chosen: nothing you entered is another system's alone."
    return f"Profile {label}: {choice.why}"


def told_view(told: Sequence[str], choice: Choice | None = None) -> RequestView:
    """Return what there is to know before there is a request: names that nothing is known by, and the choice of a profile."""
    profile = None if choice is None else visible(profile_words(choice), limit=400)
    return RequestView(profile=profile, told=tuple(visible(line, limit=600) for line in told))


def request_view(preview: Preview, told: RequestView) -> RequestView:
    """Return the request that would be sent, as people read it, with what else there is to know."""
    return msgspec.structs.replace(
        told,
        method=preview.method,
        url=url(preview.url),
        headers=headers(preview.headers),
        body=document(preview.body),
        event=visible(preview.event.name, limit=100),
        is_sample=preview.event.is_sample,
        notes=tuple(preview.notes),
    )


class ReachView(msgspec.Struct, frozen=True):
    """What came of reaching for a URL, as it stands below the field. `tone`: `good`, `warn` or `bad`."""

    tone: str
    icon: str
    sentence: Shown


def reach_view(reach: Reach) -> ReachView:
    """Return what came of reaching for a URL."""
    if reach.is_refused:
        return ReachView("bad", "circle-alert", visible(reach.sentence))
    if reach.reached is None or reach.reached.failure is not None:
        return ReachView("warn", "triangle-alert", visible(reach.sentence))
    return ReachView("warn" if reach.reached.tls is None else "good", "check", visible(reach.sentence))
