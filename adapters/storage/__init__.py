"""The storage door: one way to files, whether they lie in a directory or in Azure Blob Storage.

`file:///dir` or a plain path is a directory; `memory://name` lives in this process (tests);
`abfs://container@account.dfs.core.windows.net/prefix` (also abfss:, az:) is Azure Blob Storage or
ADLS Gen2 through adlfs and azure-storage-blob, with a connection string, a SAS token or workload
identity. Paths inside are relative, with forward slashes. Neither URLs nor paths are
percent-decoded: a character stands for itself.
"""

from adapters.storage.door import Storage
from adapters.storage.files import FileInfo
from adapters.storage.leases import Lease
from adapters.storage.opening import open_storage

__all__ = ["FileInfo", "Lease", "Storage", "open_storage"]
