"""The error tree, sorted by what the caller must do.

TrilaneError
  TerminalError            trying again changes nothing: exit 1, repair or redeploy
    ConfigurationError     a setting or a configuration file is wrong
    BundleError            a bundle is missing, incomplete, altered or unusable
    ReasonsUnavailable     reasons were asked of a model that gives none
    ModelError             the model failed, or returned something that is no score
    InputError             an input as a whole cannot be read (one bad record is a Rejection)
    TooManyRejections      so much is rejected that the deployment must be wrong, not the data
  TransientError           the same call may succeed later: exit 75
    StorageUnavailable     the storage did not answer, or refused for now
    LeaseHeld              another process does the same work at this moment
    BrokerUnavailable      the event hub did not answer
    ServiceUnavailable     another service (registry, Log Analytics) did not answer

A bad record is never an exception: it is a value, `scoring.records.Rejection`.
"""


class TrilaneError(Exception):
    """Base of everything trilane raises on purpose. Its text never repeats a record's values."""


class TerminalError(TrilaneError):
    """Trying again changes nothing; a person has to repair or redeploy something."""


class ConfigurationError(TerminalError):
    """A setting or a configuration file is wrong; the text names the place and the rule."""


class BundleError(TerminalError):
    """A bundle is missing, incomplete, altered or unusable; the text names the file."""


class ReasonsUnavailable(TerminalError):
    """Reasons were asked of a model that gives none; the text says why."""


class ModelError(TerminalError):
    """The model failed on a batch, or returned something that is no score for every record."""


class InputError(TerminalError):
    """An input as a whole cannot be read; the text names it."""


class TooManyRejections(TerminalError):
    """So much is rejected that the deployment must be wrong, not the data; the text has counts."""


class TransientError(TrilaneError):
    """The same call may succeed later."""


class StorageUnavailable(TransientError):
    """The storage did not answer, or refused for now."""


class LeaseHeld(TransientError):
    """Another process does the same work at this moment; the text says which."""


class BrokerUnavailable(TransientError):
    """The event hub did not answer."""


class ServiceUnavailable(TransientError):
    """Another service did not answer, or refused for now."""
