"""What an image is made of, built, or committed from a container."""
