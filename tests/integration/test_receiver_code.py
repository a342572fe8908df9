"""The code that the portal shows for receivers, run in each language on what is sent: as it was, tampered with, and stale.

Every way of signing is asked the same questions. A language that is not installed is skipped, and named; the others are
compiled and started once.
"""

import base64
import http.client
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.support.limits import PATIENCE
from tests.support.node import NODE, free_port
from tidings.core.signature import InstanceKeys, SigningKey
from tidings.core.webhook import Signature, Webhook
from tidings.portal.views.receivers import receiver_code, scheme_of
from tidings.profiles import PROFILES, SecretForm, describe, prepare
from tidings.sources.publish import new_event

ID = UUID("01a1fc32-e7ca-7c3b-bba3-5f0000000002")
WHSEC = f"whsec_{base64.b64encode(b'k' * 32).decode()}"
TEXT = "any text, also grün"
OTHER = {SecretForm.WHSEC: f"whsec_{base64.b64encode(b'l' * 32).decode()}", SecretForm.TEXT: "another text"}
KEYS = InstanceKeys(
    SigningKey("w", Ed25519PrivateKey.from_private_bytes(bytes(32))),
    SigningKey("t", Ed25519PrivateKey.from_private_bytes(bytes(range(32)))),
    "tidings",
)
LONG_AGO = 3600  # seconds; receivers take five minutes

# Every profile that signs, and every signature that a webhook can have instead.
WAYS: list[tuple[str, dict[str, Any]]] = [
    *((name, {}) for name in PROFILES if name != "vski"),
    *(("vski", {"signature": Signature("X-Own", format_)}) for format_ in ("hex", "base64", "sha256=hex", "t=,v1=")),
    ("standard", {"asymmetric": True}),
    ("standard", {"signature": Signature("X-Hub-Signature-256", "sha256=hex")}),
]


class Sent(msgspec.Struct, frozen=True):
    """A request that a receiver gets, and whether it is one of ours."""

    said: str
    headers: dict[str, str]
    body: bytes
    is_genuine: bool


class Way(msgspec.Struct, frozen=True):
    """A way of signing: the webhook, whose secret the receiver has."""

    label: str
    webhook: Webhook

    def code(self, language: str) -> str:
        """Return what the portal shows."""
        code = receiver_code(self.webhook)
        assert code is not None
        return next(tab.text for tab in code.tabs if tab.label == language)


def ways() -> list[Way]:
    return [Way(f"{name} {fields or ''}", webhook(name, fields)) for name, fields in WAYS]


def webhook(name: str, fields: dict[str, Any]) -> Webhook:
    profile, now = PROFILES[name], datetime.now(UTC)
    return Webhook(
        id=ID, group_id="default", name="ERP", url="https://erp.example.com/hook", profile=name, created_at=now, updated_at=now,
        secret=WHSEC if profile.secret_form is SecretForm.WHSEC else TEXT, **fields,
    )  # fmt: skip


def signed(webhook: Webhook, at: int) -> tuple[dict[str, str], bytes]:
    """Return headers and body as they are sent."""
    event = new_event("default", "publish", "content.created", '{"name": "Grüße", "total": 10.50}', datetime.now(UTC))
    request = describe(prepare(webhook, KEYS).write(event, ID, at))
    return {name.lower(): value for name, value in request.headers}, request.body


def requests(way: Way) -> Iterator[Sent]:
    """Return what a receiver is asked: what is sent now, and everything near it that is not."""
    webhook, now = way.webhook, int(time.time())
    headers, body = signed(webhook, now)
    yield Sent("as it was sent", headers, body, True)
    other = OTHER[PROFILES[webhook.profile].secret_form]
    in_overlap = {"previous_secret": other, "previous_secret_until": datetime.fromtimestamp(now + LONG_AGO, UTC)}
    rotated = msgspec.structs.replace(webhook, **in_overlap)
    # What carries one signature carries that of the secret before; the others carry both.
    yield Sent("while another secret goes", *signed(rotated, now), scheme_of(webhook).kind != "bare")
    before = msgspec.structs.replace(rotated, secret=other, previous_secret=webhook.secret)
    yield Sent("while another secret comes", *signed(before, now), True)
    yield Sent("by another secret", *signed(msgspec.structs.replace(webhook, secret=other), now), False)
    yield Sent("a byte more", headers, body + b" ", False)
    yield Sent("a byte changed", headers, body.replace(b"total", b"totel"), False)
    yield Sent("no body", headers, b"", False)
    carrier = "webhook-signature" if "webhook-signature" in headers else next(n for n in headers if _carries(webhook, n))
    genuine = headers[carrier]
    left = {name: value for name, value in headers.items() if name != carrier}
    yield Sent("no signature", left, body, False)
    for said, value in (
        ("an empty signature", ""),
        ("half a signature", genuine[: len(genuine) // 2]),
        (
            "a letter changed",
            genuine.replace("=", "0") if genuine.endswith("=") else genuine[:-1] + ("0" if genuine[-1] != "0" else "1"),
        ),
        ("no ASCII", genuine.translate({ord(genuine[-1]): "é"})),
        ("commas", ",,,"),
    ):
        if not webhook.asymmetric or said in {"an empty signature", "commas"}:
            yield Sent(said, left | {carrier: value}, body, False)
    yield from stale(webhook, now, carrier)


def stale(webhook: Webhook, now: int, carrier: str) -> Iterator[Sent]:
    """Return what is genuine and old, and what has its time made new, for the ways that sign a time."""
    headers, body = signed(webhook, now - LONG_AGO)
    is_timed = headers[carrier].startswith("t=")
    if not is_timed and carrier != "webhook-signature":
        return
    yield Sent("an hour old", headers, body, False)
    yield Sent("an hour early", *signed(webhook, now + LONG_AGO), False)
    for said, at in (
        ("its time made new", str(now)),
        ("no number for a time", "soon"),
        ("no time", ""),
        ("a long time", "9" * 40),
    ):
        if is_timed:
            changed = {carrier: headers[carrier].replace(f"t={now - LONG_AGO}", f"t={at}")}
        else:
            changed = {"webhook-timestamp": at}
        yield Sent(said, headers | changed, body, False)
    if not is_timed:
        fresh, body = signed(webhook, now)
        yield Sent("another id", fresh | {"webhook-id": "msg_1"}, body, False)
        yield Sent("no id", {name: value for name, value in fresh.items() if name != "webhook-id"}, body, False)


def _carries(webhook: Webhook, name: str) -> bool:
    return name == webhook.signature.header.lower() if webhook.signature else name.endswith("-signature")


# Languages that are asked line by line: a line for each request in, true or false out ----------------------------------------


def line(index: int, way: Way, sent: Sent) -> str:
    """Return a request as a line: the number of its way, secret, body, and names and values of headers, in base64."""
    headers = [part for pair in sent.headers.items() for part in (pair[0].encode(), pair[1].encode("latin-1"))]
    parts = [way.webhook.secret.encode(), sent.body, *headers]
    return " ".join([str(index), *(f".{base64.b64encode(part).decode()}" for part in parts)])


def ask(command: list[str], **options: Any) -> dict[str, bool]:
    """Return, of each request that a program answers otherwise than it should, what it answers."""
    asked = [(way, sent, line(index, way, sent)) for index, way in enumerate(ways()) for sent in requests(way)]
    ran = subprocess.run(
        command,
        input="\n".join(text for _, _, text in asked),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
        **options,
    )
    assert ran.returncode == 0, ran.stderr[-3000:]
    answers = ran.stdout.split()
    assert len(answers) == len(asked) > 12 * len(WAYS), ran.stderr[-3000:]
    return {
        f"{way.label}: {sent.said}": answer == "true"
        for (way, sent, _), answer in zip(asked, answers, strict=True)
        if answer != str(sent.is_genuine).lower()
    }


def needs(*programs: str) -> str:
    """Skip the test where a program is not there; return the path of the first."""
    for program in programs:
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed: the code for it was not run.")
    return str(shutil.which(programs[0]))


RUBY_MAIN = """
require "base64"
receivers = Dir[File.join(__dir__, "way*.rb")].sort.map { |f| Object.new.extend(Module.new { module_eval(File.read(f, encoding: "UTF-8")) }) }
$stdin.each_line do |line|
  index, *parts = line.split(" ")
  secret, body, *headers = parts.map { |part| Base64.strict_decode64(part[1..]) }
  puts receivers[index.to_i].send(:genuine?, body, Hash[*headers], secret)
end
"""

GO_MAIN = """package main

import ("bufio"; "encoding/base64"; "fmt"; "net/http"; "os"; "strconv"; "strings")

func main() {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		index, _ := strconv.Atoi(fields[0])
		parts := [][]byte{}
		for _, field := range fields[1:] {
			part, err := base64.StdEncoding.DecodeString(field[1:])
			if err != nil {
				panic(err)
			}
			parts = append(parts, part)
		}
		header := http.Header{}
		for at := 2; at < len(parts); at += 2 {
			header.Add(string(parts[at]), string(parts[at+1]))
		}
		fmt.Println(receivers[index](parts[1], header, string(parts[0])))
	}
}

var receivers = []func([]byte, http.Header, string) bool{%s}
"""

JAVA_MAIN = """
import java.nio.charset.StandardCharsets;
import java.util.*;

class Main {
    interface Receiver { boolean isGenuine(byte[] body, Map<String, String> headers, String secret) throws Exception; }
    static final Receiver[] RECEIVERS = {%s};

    public static void main(String[] args) throws Exception {
        Scanner lines = new Scanner(System.in);
        while (lines.hasNextLine()) {
            String[] fields = lines.nextLine().split(" ");
            byte[][] parts = Arrays.stream(fields).skip(1).map(f -> Base64.getDecoder().decode(f.substring(1))).toArray(byte[][]::new);
            Map<String, String> headers = new HashMap<>();
            for (int at = 2; at < parts.length; at += 2)
                headers.put(new String(parts[at], StandardCharsets.ISO_8859_1), new String(parts[at + 1], StandardCharsets.ISO_8859_1));
            String secret = new String(parts[0], StandardCharsets.UTF_8);
            System.out.println(RECEIVERS[Integer.parseInt(fields[0])].isGenuine(parts[1], headers, secret));
        }
    }
}
"""


def test_the_code_for_ruby_takes_what_is_sent_and_nothing_else(tmp_path: Path) -> None:
    ruby = needs("ruby")
    for index, way in enumerate(ways()):
        (tmp_path / f"way{index:02}.rb").write_text(way.code("Ruby"))
    (tmp_path / "main.rb").write_text(RUBY_MAIN)
    assert ask([ruby, "-W0", str(tmp_path / "main.rb")]) == {}


def test_the_code_for_go_takes_what_is_sent_and_nothing_else(tmp_path: Path) -> None:
    go = needs("go")
    for index, way in enumerate(ways()):
        code = way.code("Go").replace("func isGenuine", f"func isGenuine{index}")
        (tmp_path / f"way{index}.go").write_text(f"package main\n\n{code}")
    (tmp_path / "main.go").write_text(GO_MAIN % ", ".join(f"isGenuine{index}" for index in range(len(WAYS))))
    (tmp_path / "go.mod").write_text("module receivers\n\ngo 1.21\n")
    built = subprocess.run([go, "build", "-o", "receivers", "."], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    assert ask([str(tmp_path / "receivers")]) == {}


def test_the_code_for_java_takes_what_is_sent_and_nothing_else(tmp_path: Path) -> None:
    java, javac = needs("java", "javac"), needs("javac")
    for index, way in enumerate(ways()):
        code = way.code("Java").replace("class Webhooks ", f"class Webhooks{index} ")
        (tmp_path / f"Webhooks{index}.java").write_text(code)
    (tmp_path / "Main.java").write_text(JAVA_MAIN % ", ".join(f"Webhooks{index}::isGenuine" for index in range(len(WAYS))))
    files = sorted(map(str, tmp_path.glob("*.java")))
    built = subprocess.run([javac, "-d", str(tmp_path), *files], capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    # Whatever the machine writes text in: a secret is UTF-8.
    assert ask([java, "-Xshare:auto", "-Dfile.encoding=ISO-8859-1", "-cp", str(tmp_path), "Main"]) == {}


# Languages that are asked over HTTP: what is shown is a whole receiver -------------------------------------------------------


def answered(port: int, path: str, sent: Sent) -> int:
    """Send a request as it is, and return the status of the answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        headers = {name: value.encode("latin-1") for name, value in sent.headers.items() if name != "host"}
        connection.request("POST", path, sent.body, headers | {"content-length": str(len(sent.body)).encode()})
        return connection.getresponse().status
    finally:
        connection.close()


def wrong_over_http(send: Callable[[int, Way, Sent], int]) -> dict[str, int]:
    """Return, of each request that is not answered 204 when it is genuine and else 401, what it is answered."""
    return {
        f"{way.label}: {sent.said}": status
        for index, way in enumerate(ways())
        for sent in requests(way)
        if (status := send(index, way, sent)) != (204 if sent.is_genuine else 401)
    }


@contextmanager
def running(command: list[str], ready: bytes, **options: Any) -> Iterator[None]:
    """Run a program until the block ends; it has begun when it says so."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options) as process:
        assert process.stdout is not None
        try:
            seen = b""
            while ready not in seen:
                text = process.stdout.readline()
                assert text, seen.decode()
                seen += text
            yield
        finally:
            process.kill()


def test_the_code_for_python_takes_what_is_sent_and_nothing_else() -> None:
    clients = []
    for way in ways():
        os.environ["WEBHOOK_SECRET"] = way.webhook.secret
        names: dict[str, Any] = {"__name__": "receiver"}
        try:
            exec(way.code("Python"), names)
        finally:
            del os.environ["WEBHOOK_SECRET"]
        clients.append(names["app"].test_client())

    def send(index: int, _: Way, sent: Sent) -> int:
        status: int = clients[index].post("/webhooks", data=sent.body, headers=sent.headers).status_code
        return status

    assert wrong_over_http(send) == {}


def test_the_code_for_node_takes_what_is_sent_and_nothing_else(tmp_path: Path) -> None:
    express = NODE / "node_modules" / "express5" / "index.js"  # `make node`, as for all tests under Node
    ports, main = [free_port() for _ in WAYS], []
    for index, (way, port) in enumerate(zip(ways(), ports, strict=True)):
        code = way.code("Node").replace('from "express"', f'from "{express}"').replace(".listen(3000)", f".listen({port})")
        assert str(port) in code
        (tmp_path / f"way{index}.mjs").write_text(code)
        secret = base64.b64encode(way.webhook.secret.encode()).decode()
        main.append(
            f'process.env.WEBHOOK_SECRET = Buffer.from("{secret}", "base64").toString(); await import("./way{index}.mjs");'
        )
    (tmp_path / "main.mjs").write_text("\n".join([*main, 'setImmediate(() => console.log("ready"));']))
    with running(["node", str(tmp_path / "main.mjs")], b"ready"):
        assert wrong_over_http(lambda index, _, sent: answered(ports[index], "/webhooks", sent)) == {}


def test_the_code_for_php_takes_what_is_sent_and_nothing_else(tmp_path: Path) -> None:
    php = needs("php")
    for index, way in enumerate(ways()):
        (tmp_path / f"way{index}.php").write_text(way.code("PHP"))
    ports: dict[str, int] = {secret: free_port() for secret in (WHSEC, TEXT)}

    def command(secret: str) -> list[str]:
        return [php, "-d", "display_errors=1", "-S", f"127.0.0.1:{ports[secret]}", "-t", str(tmp_path)]

    def send(index: int, way: Way, sent: Sent) -> int:
        return answered(ports[way.webhook.secret], f"/way{index}.php", sent)

    with (
        running(command(WHSEC), b"started", env=os.environ | {"WEBHOOK_SECRET": WHSEC}),
        running(command(TEXT), b"started", env=os.environ | {"WEBHOOK_SECRET": TEXT}),
    ):
        assert wrong_over_http(send) == {}
