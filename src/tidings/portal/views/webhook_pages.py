"""The page on which a webhook is set up or changed: the form on the left, the request it makes on the right."""

from collections.abc import Mapping, Sequence

import msgspec

from tidings.core.customers import Access
from tidings.core.filters import Filter
from tidings.core.retry import retry_count
from tidings.operations.webhooks.choices import Choices
from tidings.operations.webhooks.previews import Preview
from tidings.operations.webhooks.reach import Reach
from tidings.portal.views.documents import Diff, Document, Headers, document, headers
from tidings.portal.views.dry_run import DryRunView
from tidings.portal.views.lists import Field, Option
from tidings.portal.views.small import Notice, Url, url
from tidings.portal.views.text import Shown, count, visible
from tidings.portal.views.webhook_choices import Offer, offer, offer_published
from tidings.portal.views.webhook_form import PROFILE_LABELS, Entered, policy_words
from tidings.portal.views.webhooks import filter_words
from tidings.profiles import PROFILES


class RequestView(msgspec.Struct, frozen=True):
    """The request that would be sent. `error`: why none can be shown."""

    method: str = ""
    url: Url | None = None
    headers: Headers | None = None
    body: Document | None = None
    event: Shown = Shown(())
    is_sample: bool = True
    notes: tuple[str, ...] = ()
    error: str = ""


class FormView(msgspec.Struct, frozen=True, kw_only=True):
    """A webhook's form.

    Attributes:
        path: Where it is sent to.
        preview: The path that shows the request as one types.
        diff: What a change changes; None: there is nothing to compare with.
        is_other_profile: Another profile was chosen than the one whose boxes are shown.
        is_reviewed: The change was looked at, and can be saved.
        is_customer: It asks for less: where requests go, what the webhook is called, and what it hears.
        takes_names: Events can be written that no box has.
        kept: What the webhook hears that a customer has no say in.
        notice: What is wrong and belongs to no field.
        cancel: Where one gets to without saving.
        dry: What it would have been sent of the last days, where that was asked.
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
    diff: Diff | None = None
    is_reviewed: bool = False
    is_customer: bool = False
    takes_names: bool = True
    kept: tuple[Shown, ...] = ()
    notice: Notice | None = None
    dry: DryRunView | None = None


def form_view(
    form: Entered,
    choices: Choices,
    request: RequestView,
    errors: Mapping[str, str],
    *,
    webhook_path: str | None,
    diff: Diff | None = None,
    is_reviewed: bool = False,
    dry: DryRunView | None = None,
    access: Access | None = None,
    kept: Sequence[Filter] = (),
) -> FormView:
    """Return the form of a webhook.

    Args:
        errors: Of each field of the form, what is wrong; under the empty name what belongs to none.
        webhook_path: Of the webhook that is changed; None: it is a new one.
        access: What the customer may do whose form it is; None: it is an operator's.
        kept: Events that they have no say in.
    """
    path = f"{webhook_path}/edit" if webhook_path else "/webhooks/new"
    is_narrow = access is not None and access is not Access.FULL
    offered = offer_published(choices, form) if is_narrow else offer(choices, form)
    form = msgspec.structs.replace(form, more=offered.more)  # names that no box has can be seen and taken away there
    return FormView(
        path=path,
        preview=f"{path}/preview",
        fields={field.name: field for field in _fields(form, errors, is_new=webhook_path is None)},
        offer=offered,
        events_error=errors.get("events", ""),
        request=request,
        is_new=webhook_path is None,
        profile=form.profile,
        version=form.version,
        cancel=webhook_path or "/webhooks",
        diff=diff,
        is_reviewed=is_reviewed and not errors,
        is_customer=access is not None,
        takes_names=not is_narrow,
        kept=tuple(visible(filter_words(one), limit=200) for one in kept),
        notice=Notice("bad", errors[""]) if errors.get("") else None,
        dry=dry,
    )


def _fields(form: Entered, errors: Mapping[str, str], *, is_new: bool) -> tuple[Field, ...]:
    profile = PROFILES.get(form.profile, PROFILES["standard"])
    policies = [
        Option("profile", f"As the profile says, {count(retry_count(profile.retry), 'time')}", form.retry == "profile"),
        Option("custom", "By delays of my own", form.retry == "custom"),
    ]
    if form.retry == "kept":
        policies.append(Option("kept", "As it is now (set by the API)", is_chosen=True))
    options = tuple(Option(name, PROFILE_LABELS.get(name, name), name == form.profile) for name in PROFILES)
    fields = (
        Field("name", "Name", value=form.name, hint="What you call it in lists.", placeholder="ERP", max_length=200),
        Field(
            "url", "URL", "url", form.url, "Where requests go, such as https://example.com/webhooks.",
            placeholder="https://", is_required=True, is_code=True, check="/webhooks/check",
        ),
        Field("description", "Description", value=form.description, max_length=2000),
        Field("profile", "Profile", "choice", form.profile, "How requests look and are signed: what the receiver expects.",
              options=options),
        Field("more", "Further events by name", "area", form.more, "One a line: order.paid, or a family such as order.*",
              is_code=True, max_length=20_000),
        Field("headers", "Headers", "area", form.headers, "Sent with each request, one a line.", placeholder="X-Source: shop",
              is_code=True, max_length=20_000),
        Field("retry", "Tries again", "choice", form.retry, f"The profile: {policy_words(profile.retry)}.",
              options=tuple(policies)),
        Field("delays", "Delays", value=form.delays, hint="Between one try and the next, with commas. Empty: it is tried once.",
              placeholder="5 s, 5 min, 30 min, 2 h", is_code=True),
        Field("timeout", "Timeout", "text", form.timeout, "Seconds for the whole exchange, at most 300.",
              placeholder=f"{profile.timeout_seconds:g}"),
        Field("concurrency", "At once", "text", form.concurrency, "How many requests may be under way.", placeholder="100"),
        Field("rate", "Per second", "text", form.rate, "How many may start in a second.", placeholder="no limit"),
        Field("ordered", "One after the other", "check", "true" if form.ordered else "",
              "Keeps the order of events; one that fails holds back those behind it."),
        Field("secret", "Secret of your own", "text", form.secret,
              "Left empty, Tidings makes one." if is_new else "Left empty, it stays. Beside a new one it verifies for a day.",
              is_code=True, max_length=500),
    )  # fmt: skip
    return tuple(msgspec.structs.replace(field, error=errors.get(field.name, "")) for field in fields)


def request_view(preview: Preview) -> RequestView:
    """Return the request that would be sent, as people read it."""
    return RequestView(
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
