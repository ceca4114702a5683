"""A stand-in for Event Hubs' AMQP 1.0 endpoint: a process on 127.0.0.1 for tests.

The handle is `process.AmqpHub`, the server `python -m tests.support.amqp_hub`. From the bytes up:
`values`, `codec`, `frames`; `connection`, `sasl`, `session`, `links`; what links attach to, `nodes`
with `cbs`, `management` and `receivers`; what is kept, `messages`, `hubs`, `journal`. `sdk` has the
real SDK at the other end.

Sources: OASIS AMQP 1.0 (parts 1 types, 2 transport, 3 messaging, 5 security), and Microsoft's
"AMQP 1.0 in Azure Service Bus and Event Hubs protocol guide". There is no TLS.
"""
