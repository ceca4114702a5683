"""How the attempts at a run, and its shards, agree on one plan."""

from collections.abc import Mapping

import msgspec

from adapters.storage import Lease, Storage
from batch_scorer.ledger import Ledger
from batch_scorer.plan import Plan, PlannedFile, Shape, plan_path, read_plan
from batch_scorer.settings import BatchSettings
from scoring.errors import ConfigurationError, InputError, TransientError


def agreed_plan(output: Storage, wanted: Plan) -> Plan:
    """The plan to follow: the one that stands, with the files as they are now, or `wanted`.

    Of several attempts or shards that begin at once one writes the plan and all follow it. Files
    that came after the run began are not of it. What the ledger has of files that were replaced is
    forgotten. Blocks on storage. Raises ConfigurationError when the run was begun with other
    settings, another input or another model; InputError for a file whose name is no text;
    TransientError when the run ended at this moment.
    """
    path = plan_path(wanted.run_id)
    if output.write_new(path, _encoded(wanted)):
        return wanted
    standing = read_plan(output, wanted.run_id)
    if standing is None:  # a shard ended the run at this moment: the next attempt finds it complete
        raise TransientError(f"run {wanted.run_id} was completed or restarted meanwhile")
    _check_same(standing, wanted)
    renewed = msgspec.structs.replace(standing, files=_as_now(standing, wanted))
    if renewed.files != standing.files:
        ledger = Ledger(output, wanted.run_id)
        for before, now in zip(standing.files, renewed.files, strict=True):
            # It may come back as it was, to parts that were replaced or removed.
            if before.etag != now.etag or before.pieces != now.pieces:
                ledger.forget(before)
        output.write(path, _encoded(renewed))
    return renewed


def _as_now(standing: Plan, wanted: Plan) -> list[PlannedFile]:
    now: Mapping[str, PlannedFile] = {file.file: file for file in wanted.files}
    files = []
    for file in standing.files:
        found = now.get(file.file)
        if found is None:
            gone = "does not exist any more"
            files.append(msgspec.structs.replace(file, pieces=[], rows=None, error=gone))
        elif found.etag == file.etag and found.error == file.error:
            files.append(file)
        else:
            files.append(msgspec.structs.replace(found, index=file.index))
    return files


def _check_same(standing: Plan, wanted: Plan) -> None:
    how = f"finish run {wanted.run_id} with those, choose another --run-id, or use --restart"
    if standing.model != wanted.model:
        raise ConfigurationError(
            f"the run was begun with model {standing.model.name} version {standing.model.version}, "
            f"digest {standing.model.digest[:12]}, and this is version {wanted.model.version}, "
            f"digest {wanted.model.digest[:12]}; {how}"
        )
    if standing.input != wanted.input:
        raise ConfigurationError(f"the run was begun with another input; {how}")
    for name in Shape.__struct_fields__:
        if getattr(standing.shape, name) != getattr(wanted.shape, name):
            raise ConfigurationError(f"the run was begun with another {name}; {how}")


def _encoded(plan: Plan) -> bytes:
    try:
        return msgspec.json.encode(plan)
    except UnicodeEncodeError as error:
        raise InputError("the input has a file whose name is not UTF-8: rename it") from error


def held(output: Storage, path: str, settings: BatchSettings) -> Lease:
    """A lease that is held: after the death of its holder a blob's takes a minute to end."""
    lease = output.lease(path)
    lease.acquire(settings.lease_wait_seconds)
    return lease
