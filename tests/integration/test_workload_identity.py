"""Signing in with workload identity: azure-identity against a stand-in of Entra ID, over TLS."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from adapters.event_hub.kafka_connection import KafkaConnection
from adapters.event_hub.kafka_sign_in import check_sign_in
from adapters.identity import blocking_azure_credential
from scoring.errors import BrokerUnavailable
from tests.support.entra import Entra, entra
from tests.support.identity import TENANT
from tests.support.kafka.access import connection_string
from tests.support.kafka.certificates import make_certificates
from tests.support.kafka.ports import free_ports
from tests.support.kafka.server import KafkaServer

HUB = "employee-events"
SCOPE = "https://127.0.0.1/.default"
ENDPOINT = f"/{TENANT}/oauth2/v2.0/token"
_TOKEN = f"""
import asyncio
from adapters.event_hub.kafka_connection import KafkaConnection
from adapters.event_hub.kafka_sign_in import check_sign_in
from adapters.identity import azure_token
print(asyncio.run(azure_token({SCOPE!r})).text)
"""


class Client:
    """A running `tests.support.hub_client`; `output` gets what it says besides answers."""

    def __init__(self, process: "subprocess.Popen[str]", output: Path) -> None:
        self._process = process
        self.output = output

    def tell(self, line: str) -> dict[str, Any]:
        """The answer to one line."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer


@contextmanager
def client(authority: Entra, kafka: KafkaServer, directory: Path) -> Iterator[Client]:
    """A client of the secure listener; it must end without a warning."""
    output = directory / "client.log"
    command = ["-W", "error", "-m", "tests.support.hub_client", kafka.secure_bootstrap, HUB]
    with output.open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, *command],
            env=authority.environment(kafka.ca_file),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True,
        )  # fmt: skip
    try:
        yield Client(process, output)
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                stream.close()


@pytest.fixture
def authority(tmp_path: Path) -> Iterator[Entra]:
    """A stand-in of its own for each test."""
    with entra(tmp_path) as state:
        yield state


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaServer]:
    """A broker that, like Event Hubs, ends a connection when its token has expired."""
    ends = "listener.name.secure.oauthbearer.connections.max.reauth.ms"
    with KafkaServer(tmp_path_factory.mktemp("kafka"), {ends: "3600000"}) as server:
        server.create_hubs([HUB], 1)
        yield server


def asynchronous_token(authority: Entra) -> "subprocess.CompletedProcess[str]":
    """What `azure_token` gets, in a process that trusts the stand-in."""
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", _TOKEN],
        env=authority.environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_a_federated_token_is_exchanged(authority: Entra) -> None:
    """One request to the authority that the environment names, and nothing is left open."""
    done = asynchronous_token(authority)
    assert (done.stdout.strip(), done.stderr) == (authority.issued[0], "")
    assert (authority.paths, authority.scopes) == ([ENDPOINT], [SCOPE])


def test_a_credential_that_blocks_signs_in_alike(
    authority: Entra, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same exchange for SDKs that block."""
    for name, value in authority.environment().items():
        monkeypatch.setenv(name, value)
    credential: Any = blocking_azure_credential()
    assert credential.get_token(SCOPE).token == authority.issued[0]
    assert credential.get_token(SCOPE).token == authority.issued[0]
    assert (authority.paths, authority.scopes) == ([ENDPOINT], [SCOPE])
    credential.close()


def test_a_refusal_is_repeated_in_one_line(authority: Entra) -> None:
    """Entra ID's reason is in the error; the federated token is nowhere."""
    authority.refusal = "AADSTS700213: No matching federated identity record found"
    done = asynchronous_token(authority)
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith(f"scoring.errors.ServiceUnavailable: Entra ID gave no token for {SCOPE}")
    assert last.count(authority.refusal) == 1
    assert authority.federated_token not in done.stderr


def test_an_authority_that_is_not_trusted_gets_nothing(authority: Entra, tmp_path: Path) -> None:
    """Where another CA is trusted the federated token does not leave."""
    other = tmp_path / "other-ca.pem"
    make_certificates(other, tmp_path / "other.pem")
    environment = authority.environment() | {"SSL_CERT_FILE": str(other)}
    done = subprocess.run(
        [sys.executable, "-c", _TOKEN],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "ServiceUnavailable" in done.stderr
    assert authority.paths == []


@pytest.mark.kafka
def test_events_go_and_come_with_a_token(
    authority: Entra, kafka: KafkaServer, tmp_path: Path
) -> None:
    """Writer and source sign in with a token for the hub's own address; no secret is logged."""
    with client(authority, kafka, tmp_path) as one:
        assert one.tell("sign-in") == {"signed": "in"}
        assert one.tell("write first") == {"written": "first"}
        assert one.tell("read 1")["values"] == ["first"]
    assert set(authority.scopes) == {SCOPE}
    said = one.output.read_text(encoding="utf-8")
    assert "Authenticated via OAUTHBEARER" in said
    assert not [
        secret for secret in [authority.federated_token, *authority.issued] if secret in said
    ]


@pytest.mark.kafka
def test_an_expired_token_is_renewed(authority: Entra, kafka: KafkaServer, tmp_path: Path) -> None:
    """The broker ends the connection; the client comes back with a new token and loses nothing."""
    authority.lifetime = 3
    with client(authority, kafka, tmp_path) as one:
        assert one.tell("write before") == {"written": "before"}
        before = len(authority.issued)
        authority.lifetime = 3600
        time.sleep(4)  # until it has expired
        assert one.tell("write after") == {"written": "after"}
    assert len(authority.issued) == before + 1


@pytest.mark.kafka
@pytest.mark.parametrize("line", ["sign-in", "write x", "read 1"])
def test_a_token_for_somebody_else_is_refused(
    authority: Entra, kafka: KafkaServer, tmp_path: Path, line: str
) -> None:
    """The broker's reason is in the error, and the token is not."""
    authority.audience = "https://other.servicebus.windows.net"
    with client(authority, kafka, tmp_path) as one:
        answer = one.tell(line)
    assert answer["error"] == "BrokerUnavailable"
    assert "refused the sign-in: SaslAuthenticationFailed" in answer["text"]
    assert "invalid_token" in answer["text"]
    assert authority.issued[0] not in answer["text"]


@pytest.mark.kafka
@pytest.mark.parametrize("line", ["sign-in", "write x", "read 1"])
def test_without_a_token_the_reason_is_told(
    authority: Entra, kafka: KafkaServer, tmp_path: Path, line: str
) -> None:
    """Whoever starts a client hears Entra ID's words, not that no broker was found."""
    authority.refusal = "AADSTS700213: No matching federated identity record found"
    with client(authority, kafka, tmp_path) as one:
        answer = one.tell(line)
    assert answer["error"] == "BrokerUnavailable"
    assert authority.refusal in answer["text"]


@pytest.mark.kafka
async def test_a_connection_string_is_tried_alike(
    kafka: KafkaServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The right one is taken; of a wrong one the broker's words are told, not the key."""
    monkeypatch.setenv("SSL_CERT_FILE", str(kafka.ca_file))
    await check_sign_in(KafkaConnection(kafka.secure_bootstrap, kafka.connection_string))
    wrong = KafkaConnection(kafka.secure_bootstrap, connection_string("d3Jvbmc="))
    with pytest.raises(BrokerUnavailable, match=r"refused the sign-in: .*username") as caught:
        await check_sign_in(wrong)
    assert "d3Jvbmc=" not in str(caught.value)


async def test_servers_that_do_not_answer_are_no_refusal() -> None:
    """Whoever is not there has not said no."""
    port, other = free_ports(2)
    servers = f"127.0.0.1:{port}, 127.0.0.1:{other}"
    with pytest.raises(BrokerUnavailable, match=rf"at {servers} did not answer .*Refused"):
        await check_sign_in(KafkaConnection(servers, connection_string()))


async def test_without_an_identity_there_is_nothing_to_try() -> None:
    """A plain connection is not made."""
    await check_sign_in(KafkaConnection("127.0.0.1:1"))
