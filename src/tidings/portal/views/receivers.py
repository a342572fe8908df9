"""Code that verifies a webhook's deliveries, to be copied: for what it sends, with nothing but each language's own library.

Three ways of signing are verified: `standard` (Standard Webhooks), `bare` (a header with nothing but a signature of the body)
and `timed` (`t=…,v1=…`). What must stay in step: `profiles.signing`, `core.signature`.
"""

import msgspec

from tidings.core.webhook import Subscription
from tidings.portal.views.documents import CodeSample, CodeTab
from tidings.profiles import PROFILES, SecretForm


class Scheme(msgspec.Struct, frozen=True):
    """How deliveries are signed. `encoding`: `hex` or `base64`, of `bare`."""

    kind: str
    header: str = ""
    prefix: str = ""
    encoding: str = "hex"


_OF_PROFILE = {
    "vivreal": Scheme("bare", "x-vivreal-signature"),
    "vivreal-content": Scheme("bare", "x-vivreal-signature", "sha256="),
    "fluxbase": Scheme("bare", "x-fluxbase-signature"),
    "fluxbase-t": Scheme("timed", "x-fluxbase-signature"),
    "vski": Scheme("none"),
}
_OF_FORMAT = {"hex": ("", "hex"), "sha256=hex": ("sha256=", "hex"), "base64": ("", "base64")}


def scheme_of(webhook: Subscription) -> Scheme:
    """Return how a webhook's deliveries are signed."""
    if (asked := webhook.signature) is not None:
        if asked.format not in _OF_FORMAT:
            return Scheme("timed", asked.header.lower())
        return Scheme("bare", asked.header.lower(), *_OF_FORMAT[asked.format])
    profile = PROFILES.get(webhook.profile)
    if profile is not None and profile.secret_form is SecretForm.WHSEC:
        return Scheme("standard")
    return _OF_PROFILE.get(webhook.profile, Scheme("none"))


def receiver_code(webhook: Subscription) -> CodeSample | None:
    """Return code that verifies a webhook's deliveries, in several languages; None when nothing is signed."""
    scheme = scheme_of(webhook)
    if scheme.kind == "none":
        return None
    tabs = tuple(CodeTab(label, _filled(language[scheme.kind], scheme)) for label, language in LANGUAGES.items())
    return CodeSample("receiver", tabs)


def _filled(text: str, scheme: Scheme) -> str:
    filled = text.replace("@header", scheme.header).replace("@prefix", scheme.prefix)
    for name in ("node", "python", "go", "php", "ruby", "java"):
        filled = filled.replace(f"@{name}", _ENCODERS[name][scheme.encoding])
    server = scheme.header.upper().replace("-", "_")
    return filled.replace("@server", f"HTTP_{server}").strip("\n") + "\n"


_ENCODERS = {
    "node": {"hex": '.digest("hex")', "base64": '.digest("base64")'},
    "python": {"hex": "digest.hex()", "base64": "base64.b64encode(digest).decode()"},
    "go": {"hex": "hex.EncodeToString", "base64": "base64.StdEncoding.EncodeToString"},
    "php": {"hex": "hash_hmac('sha256', $body, $secret)", "base64": "base64_encode(hash_hmac('sha256', $body, $secret, true))"},
    "ruby": {"hex": "hexdigest", "base64": "base64digest"},
    "java": {"hex": "HexFormat.of().formatHex", "base64": "Base64.getEncoder().encodeToString"},
}

# Node --------------------------------------------------------------------------------------------------------------------

_NODE_HEAD = """
import crypto from "node:crypto";
import express from "express";

const secret = process.env.WEBHOOK_SECRET;
const same = (a, b) => a.length === b.length && crypto.timingSafeEqual(Buffer.from(a), Buffer.from(b));
"""
_NODE_END = """
express()
  .post("/webhooks", express.raw({ type: "*/*" }), (req, res) => { // raw: the body as it came
    if (!isGenuine(req.body, req.headers)) return res.status(401).end();
    console.log(JSON.parse(req.body));
    res.status(204).end();
  })
  .listen(3000);
"""
_NODE = {
    "standard": """
function isGenuine(body, headers) {
  const time = headers["webhook-timestamp"];
  if (!(Math.abs(Date.now() / 1000 - time) < 300)) return false; // old: somebody may be repeating it
  const key = Buffer.from(secret.replace("whsec_", ""), "base64");
  const signed = Buffer.concat([Buffer.from(`${headers["webhook-id"]}.${time}.`), body]);
  const expected = "v1," + crypto.createHmac("sha256", key).update(signed).digest("base64");
  return (headers["webhook-signature"] ?? "").split(" ").some((given) => same(given, expected));
}
""",
    "bare": """
function isGenuine(body, headers) {
  const expected = "@prefix" + crypto.createHmac("sha256", secret).update(body)@node;
  return same(headers["@header"] ?? "", expected);
}
""",
    "timed": """
function isGenuine(body, headers) {
  const parts = (headers["@header"] ?? "").split(",");
  const time = parts[0].replace("t=", "");
  if (!(Math.abs(Date.now() / 1000 - time) < 300)) return false; // old: somebody may be repeating it
  const signed = Buffer.concat([Buffer.from(`${time}.`), body]);
  const expected = "v1=" + crypto.createHmac("sha256", secret).update(signed).digest("hex");
  return parts.some((given) => same(given, expected));
}
""",
}

# Python ------------------------------------------------------------------------------------------------------------------

_PYTHON_HEAD = """
import base64, hashlib, hmac, os, time

from flask import Flask, request

SECRET = os.environ["WEBHOOK_SECRET"]
app = Flask(__name__)
"""
_PYTHON_END = """

@app.post("/webhooks")
def receive():
    if not is_genuine(request.get_data(), request.headers):
        return "", 401
    print(request.get_json())
    return "", 204
"""
_PYTHON = {
    "standard": """

def is_genuine(body, headers):
    sent_at = headers.get("webhook-timestamp", "0")
    if abs(time.time() - int(sent_at)) > 300:  # old: somebody may be repeating it
        return False
    key = base64.b64decode(SECRET.removeprefix("whsec_"))
    signed = f"{headers.get('webhook-id')}.{sent_at}.".encode() + body
    expected = "v1," + base64.b64encode(hmac.digest(key, signed, "sha256")).decode()
    return any(hmac.compare_digest(given, expected) for given in headers.get("webhook-signature", "").split(" "))
""",
    "bare": """

def is_genuine(body, headers):
    digest = hmac.digest(SECRET.encode(), body, "sha256")
    expected = "@prefix" + @python
    return hmac.compare_digest(headers.get("@header", ""), expected)
""",
    "timed": """

def is_genuine(body, headers):
    sent_at, *given = headers.get("@header", "t=0").split(",")
    sent_at = sent_at.removeprefix("t=")
    if abs(time.time() - int(sent_at)) > 300:  # old: somebody may be repeating it
        return False
    expected = "v1=" + hmac.digest(SECRET.encode(), f"{sent_at}.".encode() + body, "sha256").hex()
    return any(hmac.compare_digest(one, expected) for one in given)
""",
}

# Go ----------------------------------------------------------------------------------------------------------------------

_GO = {
    "standard": """
// body: the bytes as they came, io.ReadAll(r.Body)
func isGenuine(body []byte, h http.Header, secret string) bool {
	sentAt, err := strconv.ParseInt(h.Get("webhook-timestamp"), 10, 64)
	if err != nil || time.Since(time.Unix(sentAt, 0)).Abs() > 5*time.Minute {
		return false // old: somebody may be repeating it
	}
	key, _ := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "%s.%d.", h.Get("webhook-id"), sentAt)
	mac.Write(body)
	expected := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	for _, given := range strings.Split(h.Get("webhook-signature"), " ") {
		if hmac.Equal([]byte(given), []byte(expected)) {
			return true
		}
	}
	return false
}
""",
    "bare": """
// body: the bytes as they came, io.ReadAll(r.Body)
func isGenuine(body []byte, h http.Header, secret string) bool {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	expected := "@prefix" + @go(mac.Sum(nil))
	return hmac.Equal([]byte(h.Get("@header")), []byte(expected))
}
""",
    "timed": """
// body: the bytes as they came, io.ReadAll(r.Body)
func isGenuine(body []byte, h http.Header, secret string) bool {
	parts := strings.Split(h.Get("@header"), ",")
	sentAt, err := strconv.ParseInt(strings.TrimPrefix(parts[0], "t="), 10, 64)
	if err != nil || time.Since(time.Unix(sentAt, 0)).Abs() > 5*time.Minute {
		return false // old: somebody may be repeating it
	}
	mac := hmac.New(sha256.New, []byte(secret))
	fmt.Fprintf(mac, "%d.", sentAt)
	mac.Write(body)
	expected := "v1=" + hex.EncodeToString(mac.Sum(nil))
	for _, given := range parts[1:] {
		if hmac.Equal([]byte(given), []byte(expected)) {
			return true
		}
	}
	return false
}
""",
}

# PHP ---------------------------------------------------------------------------------------------------------------------

_PHP_HEAD = """
<?php
$secret = getenv('WEBHOOK_SECRET');
$body = file_get_contents('php://input'); // as it came
"""
_PHP_END = """
http_response_code($genuine ? 204 : 401);
"""
_PHP = {
    "standard": """
$time = $_SERVER['HTTP_WEBHOOK_TIMESTAMP'] ?? '0';
$key = base64_decode(substr($secret, strlen('whsec_')));
$signed = ($_SERVER['HTTP_WEBHOOK_ID'] ?? '') . ".$time.$body";
$expected = 'v1,' . base64_encode(hash_hmac('sha256', $signed, $key, true));
$genuine = false;
foreach (explode(' ', $_SERVER['HTTP_WEBHOOK_SIGNATURE'] ?? '') as $given) {
    $genuine = $genuine || hash_equals($expected, $given);
}
$genuine = $genuine && abs(time() - (int) $time) < 300; // old: somebody may be repeating it
""",
    "bare": """
$expected = '@prefix' . @php;
$genuine = hash_equals($expected, $_SERVER['@server'] ?? '');
""",
    "timed": """
$parts = explode(',', $_SERVER['@server'] ?? '');
$time = substr($parts[0], strlen('t='));
$expected = 'v1=' . hash_hmac('sha256', "$time.$body", $secret);
$genuine = false;
foreach ($parts as $given) {
    $genuine = $genuine || hash_equals($expected, $given);
}
$genuine = $genuine && abs(time() - (int) $time) < 300; // old: somebody may be repeating it
""",
}

# Ruby --------------------------------------------------------------------------------------------------------------------

_RUBY = {
    "standard": """
require "base64"
require "openssl"

# body: the bytes as they came, request.body.read; headers: by their names in lower case
def genuine?(body, headers, secret)
  time = headers["webhook-timestamp"].to_s
  return false if (Time.now.to_i - time.to_i).abs > 300 # old: somebody may be repeating it
  key = Base64.decode64(secret.delete_prefix("whsec_"))
  signed = "#{headers["webhook-id"]}.#{time}.#{body}"
  expected = "v1," + OpenSSL::HMAC.base64digest("SHA256", key, signed)
  headers["webhook-signature"].to_s.split(" ").any? { |given| OpenSSL.secure_compare(given, expected) }
end
""",
    "bare": """
require "openssl"

# body: the bytes as they came, request.body.read; headers: by their names in lower case
def genuine?(body, headers, secret)
  expected = "@prefix" + OpenSSL::HMAC.@ruby("SHA256", secret, body)
  OpenSSL.secure_compare(headers["@header"].to_s, expected)
end
""",
    "timed": """
require "openssl"

# body: the bytes as they came, request.body.read; headers: by their names in lower case
def genuine?(body, headers, secret)
  time, *given = headers["@header"].to_s.delete_prefix("t=").split(",")
  return false if (Time.now.to_i - time.to_i).abs > 300 # old: somebody may be repeating it
  expected = "v1=" + OpenSSL::HMAC.hexdigest("SHA256", secret, "#{time}.#{body}")
  given.any? { |one| OpenSSL.secure_compare(one, expected) }
end
""",
}

# Java --------------------------------------------------------------------------------------------------------------------

_JAVA_HEAD = """
import java.security.MessageDigest;
import java.util.*;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;

class Webhooks {
    static byte[] hmac(byte[] key, byte[]... parts) throws Exception {
        Mac mac = Mac.getInstance("HmacSHA256");
        mac.init(new SecretKeySpec(key, "HmacSHA256"));
        for (byte[] part : parts) mac.update(part);
        return mac.doFinal();
    }

    static boolean same(String a, String b) {
        return MessageDigest.isEqual(a.getBytes(), b.getBytes());
    }
"""
_JAVA = {
    "standard": """
    // body: the bytes as they came; headers: by their names in lower case
    static boolean isGenuine(byte[] body, Map<String, String> headers, String secret) throws Exception {
        String time = headers.getOrDefault("webhook-timestamp", "0");
        if (Math.abs(System.currentTimeMillis() / 1000 - Long.parseLong(time)) > 300) return false; // old: perhaps repeated
        byte[] key = Base64.getDecoder().decode(secret.replaceFirst("^whsec_", ""));
        byte[] mac = hmac(key, (headers.get("webhook-id") + "." + time + ".").getBytes(), body);
        String expected = "v1," + Base64.getEncoder().encodeToString(mac);
        return Arrays.stream(headers.getOrDefault("webhook-signature", "").split(" ")).anyMatch(given -> same(given, expected));
    }
}
""",
    "bare": """
    // body: the bytes as they came; headers: by their names in lower case
    static boolean isGenuine(byte[] body, Map<String, String> headers, String secret) throws Exception {
        String expected = "@prefix" + @java(hmac(secret.getBytes(), body));
        return same(headers.getOrDefault("@header", ""), expected);
    }
}
""",
    "timed": """
    // body: the bytes as they came; headers: by their names in lower case
    static boolean isGenuine(byte[] body, Map<String, String> headers, String secret) throws Exception {
        String[] parts = headers.getOrDefault("@header", "t=0").split(",");
        String time = parts[0].replaceFirst("^t=", "");
        if (Math.abs(System.currentTimeMillis() / 1000 - Long.parseLong(time)) > 300) return false; // old: perhaps repeated
        String expected = "v1=" + HexFormat.of().formatHex(hmac(secret.getBytes(), (time + ".").getBytes(), body));
        return Arrays.stream(parts).anyMatch(given -> same(given, expected));
    }
}
""",
}

LANGUAGES = {
    "Node": {kind: _NODE_HEAD + text + _NODE_END for kind, text in _NODE.items()},
    "Python": {kind: _PYTHON_HEAD + text + _PYTHON_END for kind, text in _PYTHON.items()},
    "Go": _GO,
    "PHP": {kind: _PHP_HEAD + text + _PHP_END for kind, text in _PHP.items()},
    "Ruby": _RUBY,
    "Java": {kind: _JAVA_HEAD + text for kind, text in _JAVA.items()},
}
