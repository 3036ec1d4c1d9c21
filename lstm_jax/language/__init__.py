"""Language models over characters: fitted, judged, sampled from, and looked into."""
