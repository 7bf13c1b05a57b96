"""What training takes and what is checked before: shared by the trainer image and the control node."""
