"""What only a lease in Azure Blob Storage does."""

import os
import time

import pytest
from azure.storage.blob import BlobLeaseClient, BlobServiceClient

from adapters.storage import Lease, open_storage
from adapters.storage.blob_lease import BlobLease
from adapters.storage.blob_service import BlobFileSystem, blob_place
from adapters.storage.retries import Retries
from scoring.errors import LeaseHeld, TransientError
from tests.contract.conftest import AZURITE
from tests.contract.test_storage_leases import PATH, TERM_SECONDS
from tests.support.faulty_proxy import FaultyProxy, port_of, through
from tests.support.processes import until

pytestmark = pytest.mark.azurite


def test_a_lease_that_is_held_outlives_its_term(container: str) -> None:
    """It is renewed for as long as it is held."""
    storage = open_storage(container, os.environ[AZURITE])
    with storage.lease(PATH, TERM_SECONDS) as lease:
        time.sleep(TERM_SECONDS + 1)
        with pytest.raises(LeaseHeld):
            storage.lease(PATH, TERM_SECONDS).acquire()
        lease.check()


def test_a_lease_that_was_broken_is_lost(container: str) -> None:
    """Broken from outside, it fails its check at its next renewal, and leaves the next holder's
    alone.
    """
    storage = open_storage(container, os.environ[AZURITE])
    lease = storage.lease(PATH, TERM_SECONDS)
    lease.acquire()
    with BlobServiceClient.from_connection_string(os.environ[AZURITE]) as service:
        name = container.removeprefix("abfs://").partition("@")[0]
        BlobLeaseClient(service.get_blob_client(name, "run=1/_run/.lease.lock")).break_lease(0)
    until(lambda: _is_lost(lease))
    with storage.lease(PATH, TERM_SECONDS) as other:
        lease.release()
        other.check()


def test_a_term_that_ran_out_unrenewed(container: str) -> None:
    """A check asks for the lease again, which nobody else had; where nobody answers, it fails."""
    direct, place = os.environ[AZURITE], blob_place(container)
    later = 0.0
    with FaultyProxy(port_of(direct), every=1 << 40) as proxy:
        service = BlobFileSystem(place.endpoint, through(proxy, direct), None, quick=True)
        client = service.service_client.get_blob_client(place.root, "lease")
        clock = lambda: time.monotonic() + later  # noqa: E731
        lease = BlobLease(client, service.loop, "lease", Retries(), TERM_SECONDS, clock)
        lease.acquire()
        later = TERM_SECONDS
        lease.check()
        lease.check()
    later = 2 * TERM_SECONDS
    with pytest.raises(TransientError, match="ServiceRe"):
        lease.check()
    lease.release()


def _is_lost(lease: Lease) -> bool:
    try:
        lease.check()
    except TransientError:
        return True
    return False
