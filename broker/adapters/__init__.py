"""What keeps the ports' promises: one folder a technology; no driver's error leaves here."""
