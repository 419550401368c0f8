"""The log that the stream reads and writes: Apache Kafka, or an embedded one in a SQLite file."""
