"""What Ansible modules share, sent to hosts with them: Python 3.8, standard library only.

The control node imports it as ``ppocr_hosts``, a module as ``ansible.module_utils.ppocr_hosts``.
"""
