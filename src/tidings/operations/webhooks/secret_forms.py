"""How the secrets of each profile are written. Nothing is read or written here."""

import secrets

from tidings.core.errors import InvalidInputError
from tidings.core.signature import check_text_secret, new_secret, new_text_secret, secret_key
from tidings.profiles import PROFILES, Profile, SecretForm

SECRETS_OF_TEXT = tuple(name for name, profile in PROFILES.items() if profile.secret_form is SecretForm.TEXT)


def made_secret(profile: Profile) -> str:
    """Return a new secret, as the profile writes it."""
    random = secrets.token_bytes(32)
    return new_secret(random) if profile.secret_form is SecretForm.WHSEC else new_text_secret(random)


def check_secret(secret: str, profile: Profile) -> None:
    """Refuse what cannot be a secret of the profile.

    Raises:
        InvalidInputError: With what to write.
    """
    if profile.secret_form is not SecretForm.WHSEC:
        check_text_secret(secret)
        return
    try:
        secret_key(secret)
    except InvalidInputError as error:
        others = ", ".join(SECRETS_OF_TEXT)
        raise InvalidInputError("secret", f"{error.message} Secrets of any text are for the profiles {others}.") from error


def fits(secret: str, profile: Profile) -> bool:
    """Tell whether a profile can sign with a secret."""
    try:
        check_secret(secret, profile)
    except InvalidInputError:
        return False
    return True
