"""Certificates and keys as people paste them, looked at when they are saved and not when a delivery fails for them."""

import hashlib
from collections.abc import Sequence
from datetime import datetime

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from tidings.core.errors import InvalidInputError

MAX_PEM = 131_072  # characters of one field
MAX_CHAIN = 10
MAX_AUTHORITIES = 50
MIN_RSA_BITS = 2048  # OpenSSL uses no shorter one at its default level
MAX_NAME = 200  # characters of a subject that are shown


class Certificate(msgspec.Struct, frozen=True):
    """What is shown of a certificate.

    Attributes:
        fingerprint: SHA-256, in hex.
    """

    subject: str
    issuer: str
    not_before: datetime
    not_after: datetime
    fingerprint: str


def check_client_certificate(certificate: str, key: str, now: datetime, field: str) -> Certificate:
    """Return what is shown of a client certificate, which may be followed by its chain.

    Raises:
        InvalidInputError: It cannot be read or used, or the key is another's.
    """
    chain = _read(certificate, f"{field}.certificate", MAX_CHAIN)
    leaf = chain[0]
    private = _read_key(key, f"{field}.key")
    if leaf.public_key().public_bytes(*_PUBLIC) != private.public_key().public_bytes(*_PUBLIC):
        raise InvalidInputError(
            f"{field}.key", "The key is not the one of the first certificate. Write the client's own certificate first."
        )
    if leaf.not_valid_after_utc <= now:
        raise InvalidInputError(
            f"{field}.certificate", f"The certificate ended at {leaf.not_valid_after_utc:%Y-%m-%d %H:%M} UTC."
        )
    return _shown(leaf)


def check_authorities(text: str, now: datetime, field: str) -> tuple[Certificate, ...]:
    """Return what is shown of the authorities of a bundle.

    Raises:
        InvalidInputError: It cannot be read, or every one of them has ended.
    """
    found = _read(text, field, MAX_AUTHORITIES)
    if all(one.not_valid_after_utc <= now for one in found):
        raise InvalidInputError(field, f"{field} has no certificate whose time is not over.")
    return tuple(map(_shown, found))


_PUBLIC = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _read(text: str, field: str, most: int) -> Sequence[x509.Certificate]:
    if len(text) > MAX_PEM:
        raise InvalidInputError(field, f"{field} is longer than {MAX_PEM} characters.")
    try:
        found = x509.load_pem_x509_certificates(text.encode())
    except ValueError as error:
        raise InvalidInputError(
            field, f"{field} cannot be read as certificates in PEM form (-----BEGIN CERTIFICATE-----)."
        ) from error
    if len(found) > most:
        raise InvalidInputError(field, f"{field} has {len(found)} certificates; write at most {most}.")
    return found


def _read_key(text: str, field: str) -> CertificateIssuerPrivateKeyTypes:
    if len(text) > MAX_PEM:
        raise InvalidInputError(field, f"{field} is longer than {MAX_PEM} characters.")
    try:
        key = load_pem_private_key(text.encode(), password=None)
    except TypeError as error:
        raise InvalidInputError(
            field, f"{field} is encrypted with a passphrase. Write it without one; Tidings encrypts what it keeps."
        ) from error
    except Exception as error:  # ValueError, UnsupportedAlgorithm and what OpenSSL says of forms that it does not know
        raise InvalidInputError(field, f"{field} cannot be read as a private key in PEM form.") from error
    if isinstance(key, RSAPrivateKey) and key.key_size < MIN_RSA_BITS:
        raise InvalidInputError(field, f"{field} is an RSA key of {key.key_size} bits; TLS takes {MIN_RSA_BITS} at least.")
    if not isinstance(key, RSAPrivateKey | EllipticCurvePrivateKey | Ed25519PrivateKey):
        raise InvalidInputError(field, f"{field} is of a kind that TLS does not sign with. Use RSA, ECDSA or Ed25519.")
    return key


def _shown(certificate: x509.Certificate) -> Certificate:
    return Certificate(
        certificate.subject.rfc4514_string()[:MAX_NAME],
        certificate.issuer.rfc4514_string()[:MAX_NAME],
        certificate.not_valid_before_utc,
        certificate.not_valid_after_utc,
        hashlib.sha256(certificate.public_bytes(Encoding.DER)).hexdigest(),
    )
