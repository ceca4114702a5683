"""Apache Kafka, the reference of the protocol, as the event hub of a test."""
