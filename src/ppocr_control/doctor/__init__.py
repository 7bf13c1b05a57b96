"""What playbooks/doctor.yml makes of a host: redacted text, checks with remedies, an archive."""
