"""Compiled loops of the services: columns of messages in, columns of messages out."""
