"""What is checked before training: shared by the trainer image and the control node."""
