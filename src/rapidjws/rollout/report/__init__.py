"""What a rollout tells people: readiness of partners, plots, notices and mail."""
