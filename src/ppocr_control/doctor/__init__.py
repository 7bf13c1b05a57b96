"""Library of playbooks/doctor.yml: redacted text, checks with remedies, an archive."""
