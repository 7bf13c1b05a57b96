"""An image brought to hosts: only what each lacks."""
