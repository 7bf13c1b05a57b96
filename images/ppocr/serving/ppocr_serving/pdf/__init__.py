"""PDF files: their pages drawn as pictures, in a process of their own with limits of its own."""
