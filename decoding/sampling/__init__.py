"""From logits to a token: parameters, processors, filters, draws, log-probabilities."""
