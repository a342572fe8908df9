"""What customers are told of failures that are the operator's."""

from tidings.portal.views.customers import NOT_SENT, discreet


def test_customers_are_told_nothing_of_whom_the_operator_asks_for_tokens() -> None:
    said = (
        "No token could be had from login.corp.example, so nothing was sent to the receiver: it answered HTTP 401 and does not "
        'know client_id with <span class="sign" title="U+0007">␇</span>client_secret. Compare both.'
    )
    page = f'<p title="{said.partition("<")[0]}">{said}</p><p>The receiver answered 500.</p>'
    assert discreet(page) == f'<p title="{NOT_SENT}">{NOT_SENT}</p><p>The receiver answered 500.</p>'
    assert discreet(f"<p>Last: {said}</p>") == f"<p>Last: {NOT_SENT}</p>"
