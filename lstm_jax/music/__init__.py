"""Polyphonic music frame by frame: likelihoods, the odyssey's protocol, sampled pieces as MIDI."""
