"""The RFC nouns, pure: algorithms, keys, key sets, headers, claims. No network, no clock, no handles."""
