"""The event hub, over either protocol: Kafka (FastStream, aiokafka) or AMQP (azure-eventhub).

`ports.py` is what a worker sees of it, `messages.py` what travels; `opening.py` chooses. Each
protocol has a connection, a writer and a source, and is the one door to its SDK.
"""
